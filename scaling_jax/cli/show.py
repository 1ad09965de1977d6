"""How results are printed: one JSON object, or a readable table."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax._json import strict

if TYPE_CHECKING:
    from scaling_jax.costs import Demand, Dollars
    from scaling_jax.laws import Allocation
    from scaling_jax.planning import PricedModel


def start_jax() -> None:
    """Turn on 64-bit numbers; one scenario needs no accelerator."""
    import jax  # noqa: PLC0415

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")


def numbers(
    model: "PricedModel | Allocation",
    loss: Any,
    demand: "Demand | None",
    dollars: "Dollars | None",
) -> dict[str, float]:
    """Return a model under the names of the vocabulary, costs in FLOPs and in dollars."""
    from scaling_jax.costs import Demand, Flops  # noqa: PLC0415

    row = {
        "params": model.params,
        "tokens": model.tokens,
        "tokens_per_param": model.tokens_per_param,
        "loss": loss,
    }
    units = {"flops": Flops(), "dollars": dollars}
    for unit, cost in units.items():
        if cost is None:
            continue
        bill = cost(model.params, model.tokens, demand or Demand())
        row[f"train_{unit}"] = bill.train
        if demand is not None:
            row |= {f"serve_{unit}": bill.serve, f"total_{unit}": bill.total}
    return {name: float(value) for name, value in row.items()}


def print_json(content: Mapping[str, Any]) -> None:
    """Print one object on standard output, in full precision; what is not finite is null."""
    json.dump(strict(content), sys.stdout, indent=2, allow_nan=False)
    print()


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Show on a terminal's standard error which stage runs, how far it is, and the time left.

    Yields a function that names the next stage, and returns one to call with what is done of
    it and how much there is; until then the bar has no end.
    """
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (*progress.Progress.get_default_columns(), progress.TimeElapsedColumn())
    bar = progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    )
    with bar:

        def stage(name: str) -> Callable[[int, int], None]:
            for task in bar.tasks:
                bar.update(task.id, total=1, completed=1)
            task = bar.add_task(name, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield stage


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: bool = True
) -> None:
    """Print a table; the first column names the row, the others hold numbers or prose."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        left = position == 0 or not numeric
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # A pipe has no width of its own: prose must not be cut for it.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(table)


def unit_words(unit: str) -> str:
    """Return what a cost's unit is called in prose: FLOPs, gpu hours."""
    return "FLOPs" if unit == "flops" else unit.replace("_", " ")


def amount(unit: str, value: float) -> str:
    """Return an amount of a cost for people, with its unit."""
    text = quantity(unit, value)
    return text if unit == "dollars" else f"{text} {unit_words(unit)}"


def quantity(name: str, value: float) -> str:
    """Format a number for people: 24.2 B, 2.66 T, $1,425,060, 4.823e+23."""
    if name.endswith("dollars"):
        return f"${value:,.0f}" if value >= 100 else f"${value:,.4g}"
    if name in ("params", "tokens"):
        for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
            if size <= value < 1e16:
                return f"{value / size:.4g} {suffix}"
    if abs(value) < 1e-12:
        return "0"  # a coefficient at its bound
    return f"{value:.5g}" if abs(value) < 1e6 else f"{value:.4g}"
