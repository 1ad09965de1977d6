"""Pictures of results; matplotlib is imported when one is drawn.

Every function takes records and an optional Axes, draws, and returns the Axes.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.costs import Demand, LinearCost
from scaling_jax.fitting import Fit, Profile
from scaling_jax.laws import PowerSum
from scaling_jax.planning import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour-blind safe (Okabe and Ito 2008).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"


def iso_loss(
    law: PowerSum, cost: LinearCost, demand: Demand, best: Plan, ax: "Axes | None" = None
) -> "Axes":
    """Draw total cost against params along the iso-loss curve, optimum and baseline marked."""
    ax = ax or _new_axes()
    span = np.geomspace(float(best.params) / 4, 2.5 * float(best.baseline.params), 400)
    tokens = np.asarray(law.tokens_for(best.loss, span))
    total = np.asarray(cost(span, tokens, demand).total)
    train = np.asarray(cost(span, tokens, demand).train)
    ax.plot(span, total, color=BLUE, label="training + serving")
    ax.plot(span, train, color=GREY, linestyle="--", label="training")
    points = (("plan", best, BLUE, "o"), ("baseline", best.baseline, ORANGE, "s"))
    for name, model, colour, marker in points:
        label = f"{name}: {_count(model.params)} params, {_count(model.tokens)} tokens"
        ax.plot(float(model.params), float(model.total_cost), marker, color=colour, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.8 * np.nanmin(train), 6 * float(best.total_cost))
    ax.set_xlabel("parameters")
    ax.set_ylabel(f"lifetime cost ({cost.unit})")
    ax.set_title(f"Models of loss {float(best.loss):.4g}")
    ax.grid(visible=True, which="both", alpha=0.2)
    ax.legend(frameon=False)
    return ax


def predicted(fitted: Fit, ax: "Axes | None" = None) -> "Axes":
    """Draw predicted against measured loss of every run, coloured by tokens per parameter."""
    ax = ax or _new_axes()
    measured = fitted.runs.loss
    expected = (
        measured * np.exp(fitted.residuals) if _is_log(fitted) else measured + fitted.residuals
    )
    span = [measured.min(), measured.max()]
    ax.plot(span, span, color=GREY, linewidth=1)
    ratio = np.log10(fitted.runs.tokens_per_param)
    points = ax.scatter(measured, expected, c=ratio, cmap="cividis", s=18)
    ax.figure.colorbar(points, ax=ax, label="log10 tokens/param")
    ax.set_xlabel("measured loss (nats/token)")
    ax.set_ylabel("predicted loss")
    return ax


def curves(fitted: Fit, ax: "Axes | None" = None, sizes: int = 8) -> "Axes":
    """Draw loss against tokens per parameter: the runs, and the law's curve for each size."""
    ax = ax or _new_axes()
    runs = fitted.runs
    each = np.unique(runs.params)
    each = each[np.linspace(0, len(each) - 1, min(sizes, len(each))).astype(int)]
    from matplotlib import colormaps  # noqa: PLC0415 (an extra)

    colours = colormaps["viridis"](np.linspace(0, 0.9, len(each)))
    span = np.geomspace(
        runs.tokens_per_param.min() / 1.5, 1.5 * runs.tokens_per_param.max(), 200
    )
    for size, colour in zip(each, colours, strict=True):
        mine = runs.params == size
        ax.plot(span, np.asarray(fitted.law(size, size * span)), color=colour, linewidth=1)
        ax.plot(
            runs.tokens_per_param[mine],
            runs.loss[mine],
            "o",
            color=colour,
            markersize=4,
            label=_count(size),
        )
    ax.set_xscale("log")
    ax.set_xlabel("tokens per parameter")
    ax.set_ylabel("loss (nats/token)")
    ax.legend(frameon=False, fontsize=8, title="params")
    return ax


def residuals(fitted: Fit, ax: "Axes | None" = None) -> "Axes":
    """Draw what the law misses of each run against tokens per parameter."""
    ax = ax or _new_axes()
    percent = 100 * (
        np.expm1(fitted.residuals) if _is_log(fitted) else fitted.residuals / fitted.runs.loss
    )
    ax.axhline(0, color=GREY, linewidth=1)
    size = np.log10(fitted.runs.params)
    points = ax.scatter(fitted.runs.tokens_per_param, percent, c=size, cmap="viridis", s=18)
    ax.figure.colorbar(points, ax=ax, label="log10 params")
    ax.set_xscale("log")
    ax.set_xlabel("tokens per parameter")
    ax.set_ylabel("predicted less measured loss (%)")
    return ax


def profile(name: str, each: Profile, ax: "Axes | None" = None) -> "Axes":
    """Draw the objective along one coefficient, the others at their best."""
    ax = ax or _new_axes()
    ax.plot(each.values, each.objective, "-", color=BLUE)
    for bound in filter(np.isfinite, each.interval):
        ax.axvline(bound, color=ORANGE, linestyle="--", linewidth=1)
    ax.set_xlabel(f"{name} (dashed: 95 % interval)")
    ax.set_ylabel("objective, profiled")
    return ax


def fit_report(fitted: Fit, profiles: Mapping[str, Profile]) -> "Axes":
    """Draw predictions, curves, residuals and the first coefficient's profile in one figure."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (an extra)

    axes = Figure(figsize=(11, 8), layout="constrained").subplots(2, 2)
    predicted(fitted, axes[0, 0])
    curves(fitted, axes[0, 1])
    residuals(fitted, axes[1, 0])
    name = "E" if "E" in profiles else next(iter(profiles))
    return profile(name, profiles[name], axes[1, 1])


def _is_log(fitted: Fit) -> bool:
    return fitted.problem.objective.residual == "log"


def save(ax: "Axes", path: str | os.PathLike[str]) -> None:
    """Write the figure of the Axes; the file's ending names the format.

    Raises:
        ValueError: a format that matplotlib does not write.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(path, dpi=160, bbox_inches="tight")


def _new_axes() -> "Axes":
    # Figure, not pyplot: no window system, no global state.
    from matplotlib.figure import Figure  # noqa: PLC0415 (an extra)

    return Figure(figsize=(7, 4.5), layout="constrained").subplots()


def _count(value: object) -> str:
    number = float(value)  # pyright: ignore[reportArgumentType]
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.3g}"
