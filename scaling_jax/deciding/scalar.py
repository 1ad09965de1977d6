"""Least points and roots of functions of one variable, in numbers of steps that are fixed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax.solve import root

# Of a finer grid: it is half the interval of the one before.
_POINTS = 5
_SCAN, _HALVINGS, _NEWTON = 24, 28, 2


def least(
    function: Callable[[Any], Any],
    low: Any,
    high: Any,
    points: int,
    levels: int,
    loop: Callable[..., Any] = jax.lax.fori_loop,
) -> tuple[jax.Array, jax.Array]:
    """Return the least point of a function in an interval, elementwise, and its value.

    A grid, ends included, finds the cell; levels of finer grids, the point in it. The loop may
    be `host_loop` for a function that is not traced.

    Example:
        >>> ends = jnp.asarray(0.0), jnp.asarray(9.0)
        >>> x, value = least(lambda x: (x - 2.0) ** 2, *ends, points=10, levels=20)
        >>> print(f"{x:.4f}")
        2.0000
    """

    # One loop with one call: a function may be a large program to compile.
    def step(i: jax.Array, carry: Any) -> Any:
        left, width, best, lowest = carry
        k = i - points
        new = (k >= 0) & (k % _POINTS == 0)
        ends = jnp.maximum(best - width, low), jnp.minimum(best + width, high)
        left = jnp.where(new, ends[0], left)
        width = jnp.where(new, (ends[1] - ends[0]) / (_POINTS - 1), width)
        x = left + jnp.where(k < 0, i, k % _POINTS).astype(low.dtype) * width
        value = function(x)
        less = value < lowest
        return left, width, jnp.where(less, x, best), jnp.where(less, value, lowest)

    first = low, (high - low) / (points - 1), low, jnp.full_like(low, jnp.inf)
    _, _, best, lowest = loop(0, points + levels * _POINTS, step, first)
    return best, lowest


def host_loop(low: int, high: int, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """Do on the host what `jax.lax.fori_loop` does."""
    for i in range(low, high):
        carry = body(jnp.asarray(i), carry)
    return carry


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
