"""Pictures of results; matplotlib is imported when one is drawn.

Every function takes records and an optional Axes, draws, and returns the Axes.
"""

import os
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.costs import Demand, LinearCost
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
