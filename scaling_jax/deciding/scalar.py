"""Least points and roots of functions of one variable, in numbers of steps that are fixed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scaling_jax.solve import root

_GOLDEN = 0.6180339887498949
_SCAN, _HALVINGS, _NEWTON = 24, 28, 2


def least(
    function: Callable[[jax.Array], jax.Array],
    low: jax.Array,
    high: jax.Array,
    points: int,
    sections: int,
) -> tuple[jax.Array, jax.Array]:
    """Return the least point of a function in an interval, elementwise, and its value.

    A grid, ends included, finds the cell, and golden sections the point in it.

    Example:
        >>> ends = jnp.asarray(0.0), jnp.asarray(9.0)
        >>> x, value = least(lambda x: (x - 2.0) ** 2, *ends, points=10, sections=40)
        >>> print(f"{x:.4f}")
        2.0000
    """
    step = (high - low) / (points - 1)

    def better(i: jax.Array, found: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x = low + i.astype(low.dtype) * step
        value = function(x)
        less = value < found[1]
        return jnp.where(less, x, found[0]), jnp.where(less, value, found[1])

    x, value = jax.lax.fori_loop(1, points, better, (low, function(low)))
    ends = jnp.maximum(x - step, low), jnp.minimum(x + step, high)

    def golden(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left, right = ends
        first, second = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
        before = function(first) <= function(second)
        return jnp.where(before, left, first), jnp.where(before, second, right)

    left, right = jax.lax.fori_loop(0, sections, golden, ends)
    middle = (left + right) / 2
    at = function(middle)
    return jnp.where(at < value, middle, x), jnp.minimum(at, value)


def first_root(
    function: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array
) -> jax.Array:
    """Return the first x in [low, high] from which f(x) >= 0, elementwise; NaN without one.

    A scan finds the cell, halvings and Newton steps the root: f may fall again behind it. It
    is differentiable, in what f closes over, by the implicit function theorem.

    Example:
        >>> ends = jnp.asarray(0.0), jnp.asarray(6.0)
        >>> print(f"{first_root(jnp.sin, ends[0] + 3.5, ends[1] + 3.0):.4f}")
        6.2832
    """
    step = (high - low) / (_SCAN - 1)

    def scan(i: jax.Array, found: jax.Array) -> jax.Array:
        x = high - i.astype(low.dtype) * step
        return jnp.where(function(x) >= 0, x, found)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left, right = ends
        middle = (left + right) / 2
        below = function(middle) < 0
        return jnp.where(below, middle, left), jnp.where(below, right, middle)

    def solve() -> jax.Array:
        right = jax.lax.fori_loop(0, _SCAN, scan, jnp.full_like(low, jnp.nan))
        left = jnp.maximum(right - step, low)
        left, right = jax.lax.fori_loop(0, _HALVINGS, halve, (left, right))
        x = right
        for _ in range(_NEWTON):
            value, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
            x = jnp.clip(x - value / slope, left, right)
        return x

    return root(function, solve)
