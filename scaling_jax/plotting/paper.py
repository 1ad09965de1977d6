"""The figures of Sardana et al. 2024 (arXiv 2401.00448) from our numbers, with their data."""

import csv
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scaling_jax.costs import Flops, LinearCost
from scaling_jax.plotting import paper_plans, paper_runs
from scaling_jax.plotting.style import Columns, save
from scaling_jax.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PaperFigure(NamedTuple):
    """A figure that is drawn: its name, one of its Axes, and its data as tables by name."""

    name: str
    axes: "Axes"
    tables: dict[str, Columns]

    def write(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Write NAME.png, NAME.svg and a CSV for each table; return the paths."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = [folder / f"{self.name}.{kind}" for kind in ("png", "svg")]
        for path in pictures:
            save(self.axes, path)
        tables = {folder / f"{name}.csv": each for name, each in self.tables.items()}
        for path, columns in tables.items():
            _write_csv(path, columns)
        return [*pictures, *tables]


def figures(runs: Runs | None, scores: Mapping[str, np.ndarray]) -> Iterator[PaperFigure]:
    """Draw the figures of the paper, one after the other.

    Args:
        runs: training runs, for Figures 3, 4 and 5; None leaves them out.
        scores: the runs' Gauntlet scores by category, for Figures 3 (b), (c) and 7; one
            without `core_average` or a category leaves those out.
    """
    story = paper_plans.figure1_data()
    yield PaperFigure("figure1", paper_plans.figure1(story)[0], story)
    yield _maps("figure2", Flops(), "total FLOPs")
    yield _maps("figure6", paper_plans.section_5_prices(), "total cost")
    if runs is None:
        return
    measured = paper_runs.runs_data(runs, scores)
    yield PaperFigure("figure3", paper_runs.figure3(measured)[0], {"figure3": measured})
    trends = paper_runs.figure4_data(runs)
    yield PaperFigure("figure4", paper_runs.figure4(trends), {"figure4": trends})
    tables = paper_runs.figure5_data(runs, paper_runs.fits_of_subsets(runs))
    yield PaperFigure("figure5", paper_runs.figure5(tables)[0], tables)
    if set(paper_runs.CATEGORIES) <= set(measured):
        yield PaperFigure("figure7", paper_runs.figure7(measured)[0], {"figure7": measured})


def left_out(runs: Runs | None, scores: Mapping[str, np.ndarray]) -> str | None:
    """Return one sentence on the figures that `figures` leaves out, or None."""
    if runs is None:
        return "Figures 3, 4, 5 and 7 are left out: they need training runs."
    panels = {name: "3 (b) and (c)" for name in [paper_runs.AVERAGE] if name not in scores}
    panels |= {name: "7" for name in paper_runs.CATEGORIES if name not in scores}
    if not panels:
        return None
    names = list(dict.fromkeys(panels.values()))
    plural = "s" if len(names) > 1 or "and" in names[0] else ""
    return (
        f"Figure{plural} {' and '.join(names)} {'are' if plural else 'is'} left out: the runs "
        f"have no column eval_gauntlet/{next(iter(panels))}."
    )


def _maps(name: str, cost: LinearCost, cost_name: str) -> PaperFigure:
    ratios = paper_plans.ratios_data(cost)
    axes = paper_plans.ratio_maps(ratios, cost_name)
    return PaperFigure(name, axes[0], {name: ratios.columns()})


def _write_csv(path: Path, columns: Columns) -> None:
    """Write columns with a header; what is not there, NaN, is an empty cell."""
    cells = [[_cell(value) for value in column.tolist()] for column in columns.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"
