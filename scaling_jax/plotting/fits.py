"""Pictures of a fit: predictions, curves, residuals, the profile of a coefficient."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.fitting import Fit, Profile
from scaling_jax.plotting.style import (
    BLUE,
    GREY,
    MARKERS,
    ORANGE,
    count,
    new_axes,
    new_panels,
    shades,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled()
def predicted(fitted: Fit, ax: "Axes | None" = None) -> "Axes":
    """Draw predicted against measured loss of every run, coloured by tokens per parameter."""
    ax = ax or new_axes()
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
    ax.set_ylabel("predicted loss (nats/token)")
    return ax


@styled()
def curves(fitted: Fit, ax: "Axes | None" = None, sizes: int = 8) -> "Axes":
    """Draw loss against tokens per parameter: the runs, and the law's curve for each size."""
    ax = ax or new_axes()
    runs = fitted.runs
    each = np.unique(runs.params)
    each = each[np.linspace(0, len(each) - 1, min(sizes, len(each))).astype(int)]
    span = np.geomspace(
        runs.tokens_per_param.min() / 1.5, 1.5 * runs.tokens_per_param.max(), 200
    )
    styles = zip(each, shades(len(each)), itertools.cycle(MARKERS), strict=False)
    for size, colour, marker in styles:
        mine = runs.params == size
        ax.plot(span, np.asarray(fitted.law(size, size * span)), color=colour, linewidth=1)
        ax.plot(
            runs.tokens_per_param[mine],
            runs.loss[mine],
            marker,
            color=colour,
            label=count(size),
        )
    ax.set_xscale("log")
    ax.set_xlabel("tokens per parameter")
    ax.set_ylabel("loss (nats/token)")
    ax.legend(title="params")
    return ax


@styled()
def residuals(fitted: Fit, ax: "Axes | None" = None) -> "Axes":
    """Draw what the law misses of each run against tokens per parameter."""
    ax = ax or new_axes()
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


@styled()
def profile(name: str, each: Profile, ax: "Axes | None" = None) -> "Axes":
    """Draw the objective along one coefficient, the others at their best."""
    ax = ax or new_axes()
    ax.plot(each.values, each.objective, "-", color=BLUE)
    for bound in filter(np.isfinite, each.interval):
        ax.axvline(bound, color=ORANGE, linestyle="--", linewidth=1)
    ax.set_xlabel(f"{name} (dashed: 95 % interval)")
    ax.set_ylabel("objective, profiled")
    return ax


@styled()
def fit_report(fitted: Fit, profiles: Mapping[str, Profile]) -> "Axes":
    """Draw predictions, curves, residuals and the first coefficient's profile in one figure."""
    panels = new_panels(2, 2, width=11, height=8)
    predicted(fitted, panels[0])
    curves(fitted, panels[1])
    residuals(fitted, panels[2])
    name = "E" if "E" in profiles else next(iter(profiles))
    return profile(name, profiles[name], panels[3])


def _is_log(fitted: Fit) -> bool:
    return fitted.residual == "log"
