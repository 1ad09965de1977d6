"""A minimum along a line, found in a number of steps that does not depend on data.

A grid finds the cells that may hold the minimum; a bracket in one of them is closed by the sign
of a slope, or by values where the function jumps. Everything is elementwise over a batch and
holds a few numbers a lane, whatever the grid.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Value = Callable[[jax.Array], jax.Array]


class Cell(NamedTuple):
    """A grid point that is lower than its neighbours, and these."""

    left: jax.Array
    middle: jax.Array
    right: jax.Array
    value: jax.Array


def lowest_cells(
    value: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    start: jax.Array,
    stop: jax.Array,
    points: int,
    keep: int,
    state: Any,
) -> list[Cell]:
    """Return the `keep` lowest local minima of an even grid from start to stop, best first.

    `value(x, state) -> (value, state)` is called in order, so that a state may be carried
    along; NaN counts as infinity. Cells that there are not have the value infinity.
    """
    step = (stop - start) / (points - 1)
    infinity = jnp.full_like(step, jnp.inf)
    empty = (infinity, start)

    def body(i: jax.Array, carry: Any) -> Any:
        before, last, best, state = carry
        i = i.astype(step.dtype)
        new, state = value(start + step * i, state)
        new = jnp.where((i < points) & ~jnp.isnan(new), new, jnp.inf)
        lower = (last <= before) & (last <= new)
        candidate = (jnp.where(lower, last, jnp.inf), start + step * (i - 1))
        return last, new, _inserted(best, candidate), state

    first = (infinity, infinity, [empty] * keep, state)
    _, _, best, _ = jax.lax.fori_loop(0, points + 1, body, first)
    low, high, width = jnp.minimum(start, stop), jnp.maximum(start, stop), jnp.abs(step)
    return [
        Cell(jnp.maximum(x - width, low), x, jnp.minimum(x + width, high), v) for v, x in best
    ]


def _inserted(best: list[Any], new: Any) -> list[Any]:
    """Return the sorted list with a further pair in its place, the highest one left out."""
    out = []
    for old in best:
        smaller = new[0] < old[0]
        pairs = list(zip(new, old, strict=True))
        out.append(tuple(jnp.where(smaller, a, b) for a, b in pairs))
        new = tuple(jnp.where(smaller, b, a) for a, b in pairs)
    return out


def lowest_between(
    function: Callable[[jax.Array], tuple[jax.Array, jax.Array, Any]],
    cell: Cell,
    steps: int,
    kinked: bool,
) -> tuple[jax.Array, jax.Array, Any]:
    """Return (x, value, whatever else) next to the minimum in a cell.

    `function(x) -> (value, slope, whatever else)`. The bracket in which the slope turns
    positive is closed by regula falsi (Illinois) where the function is smooth. With `kinked`
    the next point is where the tangents of the two ends meet, which finds a kink between smooth
    branches in a few steps, and every third step halves the bracket.
    """

    def body(i: jax.Array, carry: Any) -> Any:
        left, right, side, _ = carry
        x = _tangents(left, right, i) if kinked else _falsi(left, right)
        # First the middle, then the end on the side to which the function falls.
        x = jnp.where(i == 1, jnp.where(side < 0, right.x, left.x), x)
        x = jnp.where(i == 0, cell.middle, x)
        value, slope, rest = function(x)
        below = jnp.where(i == 1, side > 0, slope < 0)
        new = _End(x, value, slope, slope)
        # The end that stays counts half the second time, so that it comes nearer too.
        slower = 0.5 if not kinked else 1.0
        stale_right = right._replace(weight=jnp.where(side < 0, slower, 1.0) * right.weight)
        stale_left = left._replace(weight=jnp.where(side > 0, slower, 1.0) * left.weight)
        left = _where(below, new, stale_left if not kinked else left)
        right = _where(below, stale_right if not kinked else right, new)
        side = jnp.where(below, -1.0, 1.0).astype(x.dtype)
        return left, right, side, (x, value, rest)

    zero = 0 * cell.middle
    first = _End(cell.left, zero, zero - 1, zero - 1), _End(cell.right, zero, zero + 1, zero + 1)
    shapes = jax.eval_shape(lambda x: (x, *function(x)[::2]), cell.middle)
    seen = jax.tree.map(lambda like: zero.astype(like.dtype), shapes)
    *_, last = jax.lax.fori_loop(0, steps, body, (*first, zero, seen))
    return last


class _End(NamedTuple):
    x: jax.Array
    value: jax.Array
    slope: jax.Array
    weight: jax.Array


def _where(condition: jax.Array, one: _End, other: _End) -> _End:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def _falsi(left: _End, right: _End) -> jax.Array:
    # An end at which the slope points outwards is where the minimum is: x stays next to it.
    low, high = jnp.minimum(left.weight, -1e-3), jnp.maximum(right.weight, 1e-3)
    x = (left.x * high - right.x * low) / (high - low)
    return jnp.where(jnp.isfinite(x), x, 0.5 * (left.x + right.x))


def _tangents(left: _End, right: _End, i: jax.Array) -> jax.Array:
    rise = right.value - left.value - right.slope * right.x + left.slope * left.x
    x = rise / (left.slope - right.slope)
    outside = ~((x > left.x) & (x < right.x))
    return jnp.where(outside | (i % 3 == 2), 0.5 * (left.x + right.x), x)


def bisect(
    below: Callable[[jax.Array], jax.Array], left: jax.Array, right: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Return the bracket of where `below` turns false, halved so many times."""

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left, right = ends
        middle = 0.5 * (left + right)
        inside = below(middle)
        return jnp.where(inside, middle, left), jnp.where(inside, right, middle)

    return jax.lax.fori_loop(0, steps, halve, (left, right))


def zoom(value: Value, cell: Cell, points: int, levels: int) -> tuple[jax.Array, jax.Array]:
    """Return (x, value) of the lowest value seen in ever finer grids around the lowest.

    Needs neither slope nor continuity: at a jump it closes in on the lower side.
    """

    def level(_: int, carry: Any) -> Any:
        left, right, best, at = carry

        def body(i: jax.Array, seen: Any) -> Any:
            best, at = seen
            x = left + (right - left) * ((i.astype(left.dtype) + 1) / (points + 1))
            new = value(x)
            lower = new < best
            return jnp.where(lower, new, best), jnp.where(lower, x, at)

        best, at = jax.lax.fori_loop(0, points, body, (best, at))
        width = (right - left) / (points + 1)
        return jnp.maximum(left, at - width), jnp.minimum(right, at + width), best, at

    first = (cell.left, cell.right, cell.value, cell.middle)
    _, _, best, at = jax.lax.fori_loop(0, levels, level, first)
    return at, best
