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
ValueAndSlope = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


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


def slope_root(slope: Value, left: jax.Array, right: jax.Array, steps: int) -> jax.Array:
    """Return where a slope turns from negative to positive, by regula falsi (Illinois).

    Quick where the slope is smooth. Where it is positive, or negative, throughout, the result
    is near the left, or the right, end.
    """
    low = jnp.minimum(slope(left), -1e-3)
    high = jnp.maximum(slope(right), 1e-3)
    none = jnp.zeros_like(left)

    def body(_: int, carry: Any) -> Any:
        left, low, right, high, side = carry
        x = (left * high - right * low) / (high - low)
        x = jnp.where(jnp.isfinite(x), x, 0.5 * (left + right))
        at = slope(x)
        below = at < 0
        # The end that stays counts half the second time, so that it comes nearer too.
        high = jnp.where(below, jnp.where(side < 0, 0.5 * high, high), at)
        low = jnp.where(below, at, jnp.where(side > 0, 0.5 * low, low))
        left, right = jnp.where(below, x, left), jnp.where(below, right, x)
        return left, low, right, high, jnp.where(below, -1.0, 1.0).astype(none.dtype)

    first = (left, jnp.where(jnp.isnan(low), -1.0, low), right, high, none)
    left, low, right, high, _ = jax.lax.fori_loop(0, steps, body, first)
    x = (left * high - right * low) / (high - low)
    return jnp.where(jnp.isfinite(x), x, 0.5 * (left + right))


def lowest_in(
    function: ValueAndSlope, left: jax.Array, right: jax.Array, steps: int
) -> jax.Array:
    """Return near where a function is lowest that falls at the left and rises at the right.

    The next point is where the tangents of the two ends meet: at a kink of two smooth branches
    it is found in a few steps, and without one the bracket is halved or better. Every third
    step halves it in any case.
    """

    def body(i: jax.Array, carry: Any) -> Any:
        (left, low, down), (right, high, up), _ = carry
        x = (high - low - up * right + down * left) / (down - up)
        middle = 0.5 * (left + right)
        outside = ~((x > left) & (x < right))
        x = jnp.where(outside | (i % 3 == 2), middle, x)
        value, slope = function(x)
        falls = slope < 0
        old, new = ((left, low, down), (right, high, up)), (x, value, slope)
        ends = [
            tuple(jnp.where(side, a, b) for a, b in zip(new, end, strict=True))
            for side, end in zip((falls, ~falls), old, strict=True)
        ]
        return *ends, x

    first = (left, *function(left)), (right, *function(right)), left
    (left, low, down), (right, high, up), x = jax.lax.fori_loop(0, steps, body, first)
    best = (high - low - up * right + down * left) / (down - up)
    return jnp.where((best > left) & (best < right), best, x)


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
