"""The least point of a function of one variable, in a number of steps that is fixed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_GOLDEN = 0.6180339887498949


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
