"""`scaling-jax figures`: the paper's figures from our numbers."""

import dataclasses
from pathlib import Path

from scaling_jax.cli.options import OptionalPath
from scaling_jax.cli.show import progress, start_jax

_PREFIX = "eval_gauntlet/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of Sardana et al. 2024 from our numbers: PNG, SVG, and the data as CSV."""

    out: Path
    """Folder to write into; it is made where there is none."""
    runs: OptionalPath = None
    """Training runs, for Figures 3, 4, 5 and 7: CSV, JSON lines or Parquet."""

    def run(self) -> None:
        """Draw and write."""
        start_jax()
        from scaling_jax.plotting import paper  # noqa: PLC0415
        from scaling_jax.runs import read_runs  # noqa: PLC0415

        runs = None if self.runs is None else read_runs(self.runs)
        columns = {} if runs is None else runs.columns
        scores = {
            name.removeprefix(_PREFIX): column
            for name, column in columns.items()
            if column.dtype.kind == "f"
        }
        written = []
        with progress() as stage:
            stage("drawing figure1")
            for figure in paper.figures(runs, scores):
                stage(f"drawing what follows {figure.name}")
                written += figure.write(self.out)
        names = ", ".join(sorted(path.name for path in written))
        print(f"Written to {self.out}: {names}.")
        missing = paper.left_out(runs, scores)
        if missing is not None:
            print(missing)
