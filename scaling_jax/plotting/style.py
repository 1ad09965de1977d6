"""One look for every picture: colours, letters, units.

Colours are safe for colour-blind readers and differ in lightness as well, lines differ in
dash or marker too, and letters stay legible at the width of a printed page.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
MARKERS = "os^Dv*PXd"

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "figure.dpi": 100,
    "grid.alpha": 0.25,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.hashsalt": "scaling_jax",  # the same picture is the same file
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}

# Named columns of one length: what a picture is drawn from.
Columns = dict[str, np.ndarray]


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the house's style, as a context or as the decorator of what draws."""
    import matplotlib as mpl  # noqa: PLC0415 (an extra)

    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float = 7.0, height: float = 4.5) -> "Figure":
    """Return an empty figure, inches wide and high; not pyplot's: no window, no state."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (an extra)

    return Figure(figsize=(width, height), layout="constrained")


@styled()
def new_axes(width: float = 7.0, height: float = 4.5) -> "Axes":
    """Return the only Axes of a new figure."""
    return new_figure(width, height).subplots()


def new_panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> Any:
    """Return an array [rows * columns] of Axes of a new figure."""
    with styled():
        return (
            new_figure(width, height).subplots(rows, columns, squeeze=False, **shared).ravel()
        )


@styled()
def save(ax: "Axes", path: str | os.PathLike[str]) -> None:
    """Write the figure of the Axes; the file's ending names the format.

    Raises:
        ValueError: a format that matplotlib does not write.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    undated: dict[str, Any] = {"metadata": {"Date": None}} if str(path).endswith(".svg") else {}
    figure.savefig(path, dpi=160, bbox_inches="tight", **undated)


@styled()
def svg(ax: "Axes") -> str:
    """Return the figure of the Axes as an <svg> element that can stand in a page of HTML."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    text = io.StringIO()
    undated: dict[str, Any] = {"metadata": {"Date": None}}
    figure.savefig(text, format="svg", bbox_inches="tight", **undated)
    element = text.getvalue()
    # Groups are numbered from 1 in every figure; in one page their names would clash.
    return re.sub(r'<g id="[^"]*"', "<g", element[element.index("<svg") :])


def shades(count: int, colormap: str = "viridis") -> np.ndarray:
    """Return colours [count, 4] from dark to light, without the light end, pale in print."""
    from matplotlib import colormaps  # noqa: PLC0415 (an extra)

    return colormaps[colormap](np.linspace(0, 0.82, count))


def count(value: Any) -> str:
    """Return a number of parameters or tokens for people.

    Example:
        >>> count(2.46e9), count(1.5e13), count(3000)
        ('2.46B', '15T', '3,000')
    """
    number = float(value)
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if size <= number < 1e16:
            return f"{number / size:.3g}{suffix}"
    return f"{number:,.0f}" if 1e3 <= number < 1e6 else f"{number:.3g}"


_WORDS = {"params": "parameters", "param": "parameter", "flops": "FLOPs", "mfu": "MFU"}


def axis_label(name: str, units: Mapping[str, str]) -> str:
    """Return what stands beside an axis: the name in words, and its unit.

    Example:
        >>> units = {"params": "parameters", "loss": "nats/token"}
        >>> axis_label("params", units), axis_label("loss", units)
        ('parameters', 'loss (nats/token)')
    """
    parts = name.replace(".", "_").split("_")
    words, unit = " ".join(_WORDS.get(part, part) for part in parts), units.get(name, "")
    said = unit in ("", "dimensionless") or words.replace(" per ", "/").endswith(unit)
    return words if said else f"{words} ({unit})"
