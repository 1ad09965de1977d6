"""Pictures of plans: along the iso-loss curve, and over a grid of scenarios."""

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from scaling_jax._axes import call_cost, call_law, law_axes
from scaling_jax.costs import Demand
from scaling_jax.grids import Grid
from scaling_jax.laws import Law, unwrapped
from scaling_jax.planning import Plan
from scaling_jax.plotting.style import (
    BLUE,
    GREY,
    ORANGE,
    axis_label,
    count,
    new_axes,
    new_panels,
    shades,
    styled,
)
from scaling_jax.solve import increasing_root

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Values that span more than this factor get levels of even ratios.
_WIDE = 20.0
# More than this factor below the largest is as good as zero, and fewer levels go beyond this.
_WIDEST, _CROWDED = 1e4, 1e3
# A curve has so many points; a step in it is so many times steeper than what is beside it and
# more than so much, and is closed in on by so many halvings.
_POINTS, _STEEP, _VISIBLE, _HALVINGS = 400, 6.0, 2e-3, 30
_LOG_TOKENS = (0.0, 57.5)  # where the tokens of a function of one's own are looked for
_COST_NAMES = {"flops": "FLOPs", "dollars": "$"}


@styled()
def iso_loss(
    law: Any,
    cost: Any,
    demand: Demand,
    best: Plan,
    ax: "Axes | None" = None,
    *,
    axes: Mapping[str, Any] | None = None,
) -> "Axes":
    """Draw total cost against params along the iso-loss curve, optimum and baseline marked.

    Args:
        law, cost, demand: any that `plan` takes; steps of a cost are drawn as steps.
        best: their plan.
        ax: the Axes to draw into.
        axes: the further axes that the plan was given; those that it chose it knows.
    """
    ax = ax or new_axes()
    bill = _bills(unwrapped(law), cost, demand, best.loss, {**(axes or {}), **best.choices})
    sizes = np.array([float(best.params), float(best.baseline.params)])
    sizes = sizes[np.isfinite(sizes)]
    span, (total, train) = _traced(bill, sizes.min() / 4, 2.5 * sizes.max())
    ax.plot(span, total, color=BLUE, label="training + serving")
    ax.plot(span, train, color=GREY, linestyle="--", label="training")
    points = (("plan", best, BLUE, "o"), ("baseline", best.baseline, ORANGE, "s"))
    for name, model, colour, marker in points:
        if np.isfinite(float(model.params)):
            label = f"{name}: {count(model.params)} params, {count(model.tokens)} tokens"
            x, y = float(model.params), float(model.total_cost)
            ax.plot(x, y, marker, color=colour, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    highest = np.nanmax([6 * float(best.total_cost), 1.5 * float(best.baseline.total_cost)])
    ax.set_ylim(0.8 * np.nanmin(train), highest)
    ax.set_xlabel("parameters")
    unit = getattr(cost, "unit", "units")
    ax.set_ylabel(f"lifetime cost ({_COST_NAMES.get(unit, unit)})")
    ax.set_title(f"Models of loss {float(best.loss):.4g}")
    ax.grid(visible=True, which="both")
    ax.legend()
    return ax


def _bills(
    law: Any, cost: Any, demand: Demand, loss: Any, axes: Mapping[str, Any]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from params [n] to total and training cost [2, n] of models of a
    loss; NaN where none is.
    """
    read = {name: axes[name] for name in law_axes(law).names if name in axes}

    def tokens(params: Any) -> Any:
        if isinstance(law, Law):
            return law.tokens_for(loss, params, **read)

        def short(log_tokens: Any) -> Any:
            return loss - call_law(law, params, jnp.exp(log_tokens), **axes)

        return jnp.exp(increasing_root(short, *_LOG_TOKENS))

    def both(params: Any) -> Any:
        each = call_cost(cost, params, tokens(params), demand, **axes)
        return each.total, each.train

    many = jax.jit(jax.vmap(both))
    return lambda params: np.stack([np.asarray(each) for each in many(params)])


def _traced(
    curve: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return points x [n] and curves [k, n] from low to high, steps as vertical lines.

    Where neighbours differ much more than those beside them, the step is closed in on, so
    that its two sides stand at one x.
    """
    x = np.geomspace(low, high, _POINTS)
    y = curve(x)
    rise = np.abs(np.diff(np.log(y[0])))
    usual = np.fmin(np.append(rise[1:], np.inf), np.append(np.inf, rise[:-1]))
    steps = np.flatnonzero(rise > _STEEP * usual + _VISIBLE)
    left, right = x[:-1].copy(), x[1:].copy()  # of every cell: one shape, one program
    for _ in range(_HALVINGS if steps.size else 0):
        middle = np.sqrt(left * right)
        start, half, end = (np.log(curve(each)[0]) for each in (left, middle, right))
        first = np.abs(half - start) > np.abs(end - half)
        left, right = np.where(first, left, middle), np.where(first, middle, right)
    sides = [each[steps] for each in (left, right)]
    both = np.concatenate([x, *sides])
    values = [curve(each)[:, steps] for each in (left, right)] if steps.size else []
    order = np.argsort(both, kind="stable")
    return both[order], np.concatenate([y, *values], axis=1)[:, order]


@styled()
def scenarios(
    result: Grid,
    value: str,
    ax: "Axes | None" = None,
    mark: Mapping[str, float] | None = None,
) -> "Axes":
    """Draw a value of a grid: of one axis as a line, of two as a labelled contour map.

    Of two axes the first runs upwards. Scenarios without a plan, NaN, are left blank. `mark`
    is a scenario of two axes to point out, by its coordinates.

    Raises:
        ValueError: the grid has neither one axis nor two, or one of a single point.

    Example:
        >>> import scaling_jax as sj
        >>> result = sj.grid(lambda loss: loss**2, {"loss": "2:3:5"})
        >>> scenarios(result, "value").get_xlabel()
        'loss (nats/token)'
    """
    short = [name for name, each in result.axes.items() if len(each) < 2]
    if len(result.axes) not in (1, 2) or short:
        raise ValueError(
            f"a picture has one axis or two, of two points or more; this grid is "
            f"{' x '.join(f'{name} ({len(each)})' for name, each in result.axes.items())}"
        )
    ax = ax or new_axes()
    (*vertical, across), values = result.axes, np.asarray(result[value][...])
    if vertical:
        up = result.axes[vertical[0]]
        contours(ax, result.axes[across], up, values, _levels(values), count)
        ax.set_ylabel(axis_label(vertical[0], result.units))
        ax.set_title(axis_label(value, result.units))
        if mark is not None:
            ax.plot(mark[across], mark[vertical[0]], "*", color="black", markersize=11)
    else:
        ax.set_xscale(_scale(result.axes[across]))
        ax.set_yscale("log" if _is_wide(values) else "linear")
        ax.plot(result.axes[across], values, color=BLUE)
        ax.set_ylabel(axis_label(value, result.units))
    ax.set_xlabel(axis_label(across, result.units))
    return ax


def all_scenarios(result: Grid, mark: Mapping[str, float] | None = None) -> "Axes":
    """Draw every value of a grid side by side, as `scenarios` draws each; return the last."""
    ax, *others = new_panels(1, len(result.values), 4.6 * len(result.values), 4.0)[::-1]
    for value, each in zip(result.values, [*others[::-1], ax], strict=True):
        scenarios(result, value, each, mark)
    return ax


@styled()
def contours(
    ax: "Axes",
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    levels: ArrayLike,
    label: Callable[[float], str],
) -> None:
    """Draw labelled contour lines of z [y, x], from dark at the first level to bright.

    Axes are scaled as their points are spaced. A label stands where its line crosses the
    diagonal of the map, or in turn a parallel to it, so that labels of dense lines do not
    touch; a line that does not cross it is labelled where there is room.
    """
    ax.set(xscale=_scale(x), yscale=_scale(y), xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    known = np.sort(levels)
    if not known.size:
        ax.text(0.5, 0.5, "the same everywhere", transform=ax.transAxes, ha="center")
        return
    order = np.argsort(levels)  # of the colours: a map that falls has its levels reversed
    drawn = ax.contour(
        x,
        y,
        np.ma.masked_invalid(z),
        levels=known,
        colors=shades(len(known), "plasma")[order],
        linewidths=1.6,
    )
    style: Any = {"fmt": label, "fontsize": 8.5, "inline_spacing": 3}
    for level, rises in zip(drawn.levels, itertools.cycle(((0, 0.2), (0.2, 0))), strict=False):
        where = [at for rise in rises for at in _on_the_diagonal(x, y, z, level, rise)][:1]
        ax.clabel(drawn, [level], manual=where or False, **style)


def _on_the_diagonal(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, level: float, rise: float
) -> list[tuple[float, float]]:
    """Return where z first passes the level on the way from lower left to upper right."""
    along = np.linspace(0.06, 0.94 - rise, 400)
    columns = np.rint(along * (len(x) - 1)).astype(int)
    rows = np.rint((along + rise) * (len(y) - 1)).astype(int)
    passed = np.flatnonzero(np.diff(z[rows, columns] > level))
    return [(float(x[columns[i]]), float(y[rows[i]])) for i in passed[:1]]


def _levels(values: np.ndarray) -> np.ndarray:
    """Return round numbers within the values, of even ratios where they span a wide range."""
    from matplotlib.ticker import LogLocator, MaxNLocator  # noqa: PLC0415 (an extra)

    known = values[np.isfinite(values)]
    if not known.size or known.min() == known.max():
        return np.empty(0)
    low, high = float(known.min()), float(known.max())
    locator: Any = MaxNLocator(9)
    if _is_wide(values):
        low = max(low, high / _WIDEST)
        locator = LogLocator(subs=(1, 2, 5) if high < _CROWDED * low else (1, 3), numticks=12)
    levels = np.asarray(locator.tick_values(low, high))
    return levels[(levels > low) & (levels < high)]


def _is_wide(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    if not known.size or known.max() <= 1:  # shares are read as they are
        return False
    return bool(known.min() > 0 and known.max() > _WIDE * known.min())


def _scale(points: np.ndarray) -> str:
    """Return the scale on which points are evenly spaced."""
    steps = np.diff(points)
    even = np.allclose(steps, steps[0], rtol=1e-3, atol=0)
    return "linear" if even or not points.min() > 0 else "log"
