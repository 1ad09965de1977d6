"""`scaling-jax laws` and `scaling-jax chips`: the catalogues with their sources."""

import dataclasses
from typing import TYPE_CHECKING

from scaling_jax.cli.options import Switch
from scaling_jax.cli.show import print_json, print_table

if TYPE_CHECKING:
    from scaling_jax.laws import Sourced


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laws:
    """The published laws, with what they read, where they hold, source and caveat."""

    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Print the catalogue."""
        from scaling_jax._axes import law_axes  # noqa: PLC0415
        from scaling_jax.laws import PUBLISHED, coefficients  # noqa: PLC0415

        if self.json:
            print_json(
                {
                    name: {
                        "law": type(each.law).__name__.lower(),
                        "coefficients": coefficients(each.law),
                        "axes": list(law_axes(each.law).names),
                        "source": each.source,
                        "caveat": each.caveat,
                        "valid": {key: x for key, x in each.valid._asdict().items() if x},
                    }
                    for name, each in PUBLISHED.items()
                }
            )
            return
        rows = [
            (
                name,
                " ".join(f"{key}={value:g}" for key, value in coefficients(each.law).items()),
                f"{each.source}. {each.caveat} {_runs_behind(each)}".strip(),
            )
            for name, each in PUBLISHED.items()
        ]
        columns = ("name", "coefficients", "source, and the runs behind it")
        print_table("Published laws", columns, rows, numeric=False)


def _runs_behind(each: "Sourced") -> str:
    """Return the ranges of the runs behind a law, and the axes that it reads, in words."""
    from scaling_jax._axes import law_axes  # noqa: PLC0415

    ranges = {name: x for name, x in each.valid._asdict().items() if x and name != "axes"}
    parts = [f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in ranges.items()]
    for name in law_axes(each.law).names:
        low, high = each.valid.axes.get(name, (None, None))
        parts.append(f"axis {name}" + ("" if low is None else f" {low:.3g} to {high:.3g}"))
    return f"Runs: {'; '.join(parts)}." if parts else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chips:
    """The accelerators: dense peaks, memory, bandwidth, list price, with sources."""

    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Print the catalogue."""
        from scaling_jax.hardware import CATALOGUE_DATE, CHIPS  # noqa: PLC0415

        if self.json:
            print_json({name: chip._asdict() for name, chip in CHIPS.items()})
            return
        rows = [
            (
                name,
                " ".join(f"{dtype} {peak / 1e12:g}" for dtype, peak in chip.peaks.items()),
                f"{chip.memory / 1e9:g}",
                f"{chip.bandwidth / 1e12:g}",
                "" if chip.dollars_per_hour is None else f"{chip.dollars_per_hour:.2f}",
                "; ".join(filter(None, (chip.source, chip.price_source))),
            )
            for name, chip in CHIPS.items()
        ]
        columns = ("name", "dense TFLOP/s", "GB", "TB/s", "$/h", "source")
        print_table(f"Accelerators, {CATALOGUE_DATE}", columns, rows, numeric=False)
