"""Figures 3, 4, 5 and 7 of Sardana et al. 2024 (arXiv 2401.00448): what training runs show."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.fitting import Fit, fit
from scaling_jax.plotting.style import (
    MARKERS,
    Columns,
    count,
    new_axes,
    new_panels,
    shades,
    styled,
)
from scaling_jax.runs import Runs
from scaling_jax.runs.record import WIDENED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The columns of the paper's evaluation, less their prefix `eval_gauntlet/`.
AVERAGE = "core_average"
CATEGORIES = (
    "world_knowledge",
    "commonsense_reasoning",
    "reading_comprehension",
    "language_understanding",
    "symbolic_problem_solving",
)
# Table 1: fits to the runs of at most so many tokens per parameter, the last to all.
SUBSETS = (100.0, 250.0, 500.0, np.inf)
_MOST_LABELS = 8
_SHOWN = {"E": "E", "α": "alpha", "β": "beta"}
_MOST_RATIO = 500.0  # of Figure 4
_RATIO, _LOSS = "tokens per parameter", "loss (nats/token)"
_SCORE = "Gauntlet average (chance = 0, best = 1)"


def runs_data(runs: Runs, scores: Mapping[str, np.ndarray]) -> Columns:
    """Return what Figures 3 and 7 draw: each run, with its scores where there are any."""
    own = ("params", "tokens_per_param", "loss")
    columns = {name: getattr(runs, name) for name in own}
    known = (AVERAGE, *CATEGORIES)
    return columns | {name: scores[name] for name in known if name in scores}


@styled()
def figure3(columns: Columns, axes: Any = None) -> Any:
    """Draw loss and Gauntlet average against tokens per parameter, and against each other.

    Three Axes, or one where the columns hold no average.
    """
    panels = [("tokens_per_param", "loss", "(a) Loss against ratio")]
    if AVERAGE in columns:
        panels += [
            ("tokens_per_param", AVERAGE, "(b) Score against ratio"),
            ("loss", AVERAGE, "(c) Score against loss"),
        ]
    if axes is None:
        axes = new_panels(1, len(panels), width=3.5 * len(panels), height=3.6)
    labels = {"tokens_per_param": _RATIO, "loss": _LOSS, AVERAGE: _SCORE}
    for ax, (x, y, title) in zip(axes, panels, strict=True):
        _by_size(ax, columns, x, y)
        ax.set(xlabel=labels[x], ylabel=labels[y], title=title)
        if x == "tokens_per_param":
            ax.set_xscale("log")
    axes[0].legend(title="parameters")
    return axes


@styled()
def figure7(columns: Columns, axes: Any = None) -> Any:
    """Draw the score in each Gauntlet category against tokens per parameter; five Axes."""
    if axes is None:
        *axes, spare = new_panels(2, 3, width=10, height=6, sharey=True)
        spare.remove()
    for ax, name in zip(axes, CATEGORIES, strict=True):
        _by_size(ax, columns, "tokens_per_param", name)
        ax.set(xscale="log", xlabel=_RATIO, title=name.replace("_", " "))
        ax.set_ylabel("score (chance = 0, best = 1)")
    axes[-1].legend(title="parameters", loc="upper left", ncols=2)
    return axes


def figure4_data(runs: Runs) -> Columns:
    """Return what Figure 4 draws: runs of one ratio, and the line through them.

    log10 loss = intercept + slope log10 train_flops, by least squares, for every ratio of at
    most 500 tokens per parameter that three sizes or more have.
    """
    rows: list[tuple[float, ...]] = []
    for ratio, mine in _by_ratio(runs):
        x, y = np.log10(mine.train_flops), np.log10(mine.loss)
        if ratio > _MOST_RATIO or len(np.unique(mine.params)) < 3:
            continue
        slope, intercept = np.polyfit(x, y, 1)
        trend = 10 ** (intercept + slope * x)
        table = mine.params, mine.train_flops, mine.loss, trend
        rows += [(ratio, *row, slope) for row in zip(*table, strict=True)]
    names = "tokens_per_param params train_flops loss trend_loss slope"
    values = np.array(rows, float).reshape(-1, 6)
    return dict(zip(names.split(), values.T, strict=True))


@styled()
def figure4(columns: Columns, ax: "Axes | None" = None) -> "Axes":
    """Draw loss against training compute, both logarithmic, with a line for each ratio."""
    ax = ax or new_axes(7, 5)
    ratios = np.unique(columns["tokens_per_param"])
    ax.set(xscale="log", yscale="log", xlabel="training compute (FLOPs)", ylabel=_LOSS)
    if not ratios.size:
        ax.text(0.5, 0.5, "no ratio has three sizes", transform=ax.transAxes, ha="center")
        return ax
    styles = zip(ratios, shades(len(ratios)), itertools.cycle(MARKERS), strict=False)
    for ratio, colour, marker in styles:
        own = {k: v[columns["tokens_per_param"] == ratio] for k, v in columns.items()}
        order = np.argsort(own["train_flops"])
        ax.plot(own["train_flops"][order], own["trend_loss"][order], color=colour, linewidth=1)
        label = f"{ratio:g}  (slope {own['slope'][0]:.4f})"
        ax.plot(own["train_flops"], own["loss"], marker, color=colour, label=label)
    from matplotlib.ticker import FormatStrFormatter, NullFormatter  # noqa: PLC0415 (an extra)

    ticks = np.arange(0.2, 10, 0.2)
    ax.set_yticks(ticks[(ticks > columns["loss"].min()) & (ticks < columns["loss"].max())])
    ax.yaxis.set_major_formatter(FormatStrFormatter("%.1f"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(title=_RATIO)
    return ax


def fits_of_subsets(runs: Runs) -> dict[float, Fit]:
    """Return a fit for each subset of Table 1, by the most tokens per parameter in it.

    A subset that adds no run to the one before is left out.
    """
    fits: dict[float, Fit] = {}
    for most in SUBSETS:
        chosen = runs.select(max_tokens_per_param=most)
        if len(chosen) > max((each.n_runs for each in fits.values()), default=0):
            fits[most] = fit(chosen)
    return fits


def figure5_data(runs: Runs, fits: Mapping[float, Fit]) -> dict[str, Columns]:
    """Return what Figure 5 draws, `figure5`, and the coefficients behind it, `table1`.

    A row of `figure5` is a size and a ratio: the measured loss, NaN where there is no run,
    and what each fit says.
    """
    span = np.geomspace(runs.tokens_per_param.min(), runs.tokens_per_param.max(), 61)
    rows = []
    for size in np.unique(runs.params):
        mine = runs.where(runs.params == size)
        rows += [(size, ratio, np.nan) for ratio in span]
        rows += list(zip(mine.params, mine.tokens_per_param, mine.loss, strict=True))
    params, ratio, measured = np.array(sorted(rows, key=lambda row: row[:2])).T
    curves = {"params": params, "tokens_per_param": ratio, "loss": measured}
    for most, fitted in fits.items():
        curves[_column(most)] = np.asarray(fitted.law(params, params * ratio))
    table: dict[str, list[float]] = {"max_tokens_per_param": [], "n_runs": [], "objective": []}
    for most, fitted in fits.items():
        row = {"max_tokens_per_param": most, "n_runs": fitted.n_runs}
        row |= {"objective": fitted.objective} | vars(fitted.law)
        for name, value in row.items():
            table.setdefault(name, []).append(float(value))
    return {"figure5": curves, "table1": {k: np.array(v) for k, v in table.items()}}


@styled()
def figure5(tables: Mapping[str, Columns], axes: Any = None) -> Any:
    """Draw the curves fitted to each subset, its runs filled, in Axes of its own."""
    table, columns = tables["table1"], tables["figure5"]
    limits = table["max_tokens_per_param"]
    if axes is None:
        rows = math.ceil(len(limits) / 2)
        panels = new_panels(rows, min(2, len(limits)), 10, 3.6 * rows, sharey=True)
        axes = panels[: len(limits)]
        for spare in panels[len(limits) :]:
            spare.remove()
    for i, (ax, most) in enumerate(zip(axes, limits, strict=True)):
        _subset(ax, columns, most)
        upto = "all ratios" if np.isinf(most) else f"up to {most:g} tokens per parameter"
        law = ", ".join(f"{k} = {round(table[name][i], 12):.3g}" for k, name in _SHOWN.items())
        ax.set_title(f"{upto}, {table['n_runs'][i]:g} runs\n{law}")
        ax.set(xscale="log", xlabel=_RATIO, ylabel=_LOSS)
    axes[-1].legend(title="parameters", ncols=3, loc="lower left")
    return axes


def _subset(ax: "Axes", columns: Columns, most: float) -> None:
    for size, style in _styles(columns["params"]):
        own = {k: v[columns["params"] == size] for k, v in columns.items()}
        label, marker, colour = style.pop("label"), style.pop("marker"), style["color"]
        if label is not None:
            ax.plot(own["tokens_per_param"], own[_column(most)], linewidth=1, **style)
        inside = own["tokens_per_param"] <= most * (1 + WIDENED)
        for part, face, name in ((inside, colour, label), (~inside, "white", None)):
            x, y = own["tokens_per_param"][part], own["loss"][part]
            ax.plot(x, y, marker, color=colour, markerfacecolor=face, label=name)


def _column(most: float) -> str:
    return "loss_of_all" if np.isinf(most) else f"loss_up_to_{most:g}"


def _by_size(ax: "Axes", columns: Columns, x: str, y: str) -> None:
    """Draw y against x, a line with a marker of its own for each size."""
    for size, style in _styles(columns["params"]):
        mine = np.flatnonzero(columns["params"] == size)
        mine = mine[np.argsort(columns[x][mine])]
        ax.plot(columns[x][mine], columns[y][mine], linewidth=1.0, **style)


def _styles(params: np.ndarray) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the sizes with their styles; of many sizes only some have a label."""
    sizes = np.unique(params)
    labelled = np.linspace(0, len(sizes) - 1, min(len(sizes), _MOST_LABELS)).astype(int)
    each = zip(sizes, shades(len(sizes)), itertools.cycle(MARKERS), strict=False)
    for i, (size, colour, marker) in enumerate(each):
        label = count(size) if i in labelled else None
        yield float(size), {"color": colour, "marker": marker, "label": label}


def _by_ratio(runs: Runs) -> Iterator[tuple[float, Runs]]:
    """Yield the runs of each ratio, ratios that agree to three digits being one."""
    ratios = np.array([float(f"{ratio:.3g}") for ratio in runs.tokens_per_param])
    for ratio in np.unique(ratios):
        yield float(ratio), runs.where(ratios == ratio)
