"""`scaling-jax sweep`: the training runs that a law is fitted to."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from scaling_jax.cli.options import OptionalFloat, OptionalPath, Switch
from scaling_jax.cli.show import print_json, print_table
from scaling_jax.cli.training import (
    CorpusOptions,
    OptionalInt,
    OptionalText,
    ProcessOptions,
    training_bar,
)

if TYPE_CHECKING:
    from scaling_jax.training import SweepRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """All training runs of a recipe, resumable, into one table of runs.

    Example: smoke --out sweep; then scaling-jax fit sweep/runs.csv
    """

    recipe: Positional[str]
    """sardana47 (the paper's 47 runs), cpu47 (their structure on two CPU cores) or smoke; with
    --status, the folder of a sweep as well."""
    out: OptionalPath = None
    """The sweep's folder; runs.csv is in it."""
    data: CorpusOptions
    shard: str = "0/1"
    """i/n: take every n-th run from the i-th on, for job arrays."""
    seed: int = 0
    """Of every run."""
    fsdp: int = 1
    """Devices that share one copy of the parameters."""
    dry_run: Switch = False
    """Print each run with its parameters, FLOPs, tokens, hours and dollars; train nothing."""
    status: Switch = False
    """Print where each run is; train nothing."""
    chip: OptionalText = None
    """With --dry-run: a chip of `scaling-jax chips` instead of the recipe's or this machine."""
    chips: OptionalInt = None
    """With --dry-run: how many."""
    price: OptionalFloat = None
    """With --dry-run: dollars per chip and hour."""
    mfu: OptionalFloat = None
    """With --dry-run: share of the peak that is reached."""
    checkpoint_seconds: float = 60.0
    """Least time between two checkpoints of a run."""
    processes: ProcessOptions
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Train, or tell."""
        from scaling_jax.training import recipe_of  # noqa: PLC0415

        if self.dry_run:
            self._estimate(_named(self.recipe))
        elif self.status:
            name = recipe_of(self.recipe) if self.out is None else self.recipe
            self._status(_named(name), self.out or Path(self.recipe))
        elif self.out is None:
            raise ValueError("--out is missing; give the sweep's folder")
        else:
            self._train(_named(self.recipe), self.out)

    def _train(self, recipe: "SweepRecipe", out: Path) -> None:
        from scaling_jax.training import sweep  # noqa: PLC0415

        index, count = _shard(self.shard)
        self.processes.start(out / ".compiled")
        corpus = self.data.open(out)
        with training_bar(len(recipe.runs()[index::count])) as (started, moved):
            records = sweep(
                recipe, corpus, out, seed=self.seed, shard=(index, count), fsdp=self.fsdp,
                checkpoint_seconds=self.checkpoint_seconds, started=started, progress=moved,
            )  # fmt: skip
        diverged = sum(each.status == "diverged" for each in records)
        answer = {
            "recipe": recipe.name,
            "finished": len(records) - diverged,
            "diverged": diverged,
            "runs": str(out / "runs.csv"),
        }
        if self.json:
            print_json(answer)
        else:
            print(f"{answer['finished']} runs finished, {diverged} diverged: {answer['runs']}")

    def _status(self, recipe: "SweepRecipe", out: Path) -> None:
        from scaling_jax.training import status  # noqa: PLC0415

        runs = status(recipe, out)
        counts = {
            state: sum(run.state == state for run in runs)
            for state in ("finished", "begun", "waiting", "diverged", "damaged")
        }
        if self.json:
            print_json(counts | {"runs": {run.name: run._asdict() for run in runs}})
            return
        rows = [
            (run.name, run.state, f"{run.step:,}/{run.steps:,}",
             "" if run.loss is None else f"{run.loss:.4f}")
            for run in runs
        ]  # fmt: skip
        title = ", ".join(f"{count} {state}" for state, count in counts.items())
        print_table(f"{recipe.name}: {title}", ("run", "state", "step", "loss"), rows)

    def _estimate(self, recipe: "SweepRecipe") -> None:
        from scaling_jax.training import Machine, estimate  # noqa: PLC0415

        machine = Machine.of(
            recipe.options.dtype,
            chip=self.chip or recipe.chip,
            chips=recipe.chips if self.chips is None else self.chips,
            price=self.price,
        )
        mfu = recipe.mfu if self.mfu is None else self.mfu
        if not 0 < mfu <= 1:
            raise ValueError(f"--mfu is {mfu}; it must be in (0, 1]")
        index, count = _shard(self.shard)
        runs = {
            run.name: estimate(run.config, machine, mfu) for run in recipe.runs()[index::count]
        }
        total: dict[str, Any] = {
            "runs": len(runs),
            "exact_train_flops": sum(run.exact_train_flops for run in runs.values()),
            "hours": sum(run.hours for run in runs.values()),
            "dollars": None
            if machine.dollars_per_hour is None
            else sum(run.dollars or 0.0 for run in runs.values()),
        }
        if self.json:
            print_json({"total": total, "runs": {n: run._asdict() for n, run in runs.items()}})
            return
        names = ("params", "tokens", "6ND FLOPs", "exact FLOPs", "hours", "dollars")
        rows = [(name, *map(_cell, run)) for name, run in runs.items()]
        rows.append(("all", "", "", "", *map(_cell, list(total.values())[1:])))
        print_table(f"{recipe.name}: {len(runs)} runs at MFU {mfu:g}", ("run", *names), rows)


def _named(name: str) -> "SweepRecipe":
    from scaling_jax.training import SWEEPS  # noqa: PLC0415

    if name not in SWEEPS:
        raise ValueError(f"the sweep is {name!r}; it must be one of {', '.join(SWEEPS)}")
    return SWEEPS[name]


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if isinstance(value, int) else f"{value:.4g}"


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ValueError(f"--shard is {text!r}; it must be i/n with 0 <= i < n, such as 0/8")
    return int(index), int(count)
