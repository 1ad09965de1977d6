"""A picture of families side by side."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.comparing import Comparison
from scaling_jax.plotting.style import BLUE, GREY, ORANGE, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled()
def comparison(found: Comparison, ax: "Axes | None" = None) -> "Axes":
    """Draw the held-out error of every family, its weight, and whether the runs reject it."""
    members = [each for each in found.members if np.isfinite(each.holdout_error)]
    members = sorted(members, key=lambda each: -each.holdout_error) or list(found.members)
    ax = ax or new_axes(height=1.0 + 0.32 * len(members))
    for row, each in enumerate(members):
        tested = np.isfinite(each.misfit.p_value)
        colour, marker = BLUE if tested else GREY, "o"
        if each.rejected:
            colour, marker = ORANGE, "s"
        face = colour if each.weight else "white"
        error = 100 * each.holdout_error
        ax.plot(error, row, marker, color=colour, markerfacecolor=face, markersize=7)
        if each.weight:
            ax.annotate(
                f"{each.weight:.0%}",
                (error, row),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=GREY,
                fontsize=9,
            )
    ax.set_yticks(range(len(members)), [each.name for each in members])
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.set_xlabel(f"held-out error toward {_words(found.toward)} (%)")
    _legend(ax)
    return ax


def _legend(ax: "Axes") -> None:
    ax.plot([], [], "o", color=BLUE, label="the runs follow it")
    ax.plot([], [], "s", color=ORANGE, label="the runs reject it")
    ax.plot(
        [],
        [],
        "o",
        color=GREY,
        markerfacecolor="white",
        label="not to be tested; hollow: no weight",
    )
    ax.legend(loc="best")


def _words(toward: object) -> str:
    if isinstance(toward, str):
        return toward.replace("_", " ")
    return "the planned point"
