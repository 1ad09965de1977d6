"""Pictures of a fit: predictions, curves, residuals, the profile of a coefficient."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax._axes import call_law, law_axes
from scaling_jax._pytree import domains
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
    measured, expected = fitted.runs.loss, _expected(fitted)
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
    """Draw loss against tokens per parameter: the runs, and the law's curve for each size.

    Of a law with further axes there is a curve for each size and value of the axes, of those
    that have most runs, along its own runs.
    """
    ax = ax or new_axes()
    ratio, loss = fitted.runs.tokens_per_param, fitted.runs.loss
    names = law_axes(fitted.law).names
    table = np.stack([fitted.runs.params, *(fitted.runs[name] for name in names)], axis=1)
    kinds, which, often = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    if names:
        shown = np.sort(np.argsort(-often, kind="stable")[:sizes])
    else:
        shown = np.linspace(0, len(kinds) - 1, min(sizes, len(kinds))).astype(int)
    styles = zip(shown, shades(len(shown)), itertools.cycle(MARKERS), strict=False)
    for kind, colour, marker in styles:
        size, *values = kinds[kind]
        at = dict(zip(names, values, strict=True))
        mine = which.ravel() == kind
        beside = ratio[mine] if names else ratio
        span = np.geomspace(beside.min() / 1.5, 1.5 * beside.max(), 200)
        line = np.asarray(call_law(fitted.law, size, size * span, **at))
        ax.plot(span, line, color=colour, linewidth=1)
        label = ", ".join(map(count, kinds[kind]))
        ax.plot(ratio[mine], loss[mine], marker, color=colour, label=label)
    ax.set_xscale("log")
    ax.set_xlabel("tokens per parameter")
    ax.set_ylabel("loss (nats/token)")
    ax.legend(title=", ".join(["params", *(name.replace("_", " ") for name in names)]))
    return ax


@styled()
def residuals(fitted: Fit, ax: "Axes | None" = None) -> "Axes":
    """Draw what the law misses of each run against tokens per parameter."""
    ax = ax or new_axes()
    percent = 100 * (_expected(fitted) / fitted.runs.loss - 1)
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
    """Draw predictions, curves, residuals and the profile of the floor, or of the first
    coefficient of a law without one, in one figure.
    """
    panels = new_panels(2, 2, width=11, height=8)
    predicted(fitted, panels[0])
    curves(fitted, panels[1])
    residuals(fitted, panels[2])
    roles = {path: domain.role for path, domain in domains(fitted.law).items()}
    name = next((path for path in profiles if roles[path] == "floor"), next(iter(profiles)))
    return profile(name, profiles[name], panels[3])


def _expected(fitted: Fit) -> np.ndarray:
    """Return the loss that the law predicts for every run."""
    axes = {name: fitted.runs[name] for name in law_axes(fitted.law).names}
    return np.asarray(call_law(fitted.law, fitted.runs.params, fitted.runs.tokens, **axes))
