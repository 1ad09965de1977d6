"""The root of an increasing function in a known interval."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.solve.implicit import root

_BISECTIONS = 60


def increasing_root(
    function: Callable[[jax.Array], jax.Array], low: Number, high: Number
) -> jax.Array:
    """Return x in [low, high] with f(x) = 0, elementwise; NaN where f has one sign.

    Bisection: a fixed number of steps whatever the function, which may have kinks.
    Differentiable, in what f closes over, by the implicit function theorem.

    Example:
        >>> print(f"{increasing_root(lambda x: x**3 - 2.0, 0.0, 2.0):.5f}")
        1.25992
    """
    start = jnp.zeros_like(function(jnp.asarray(low, float)))
    ends = start + low, start + high

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left, right = ends
        middle = 0.5 * (left + right)
        below = function(middle) < 0
        return jnp.where(below, middle, left), jnp.where(below, right, middle)

    def solve() -> jax.Array:
        left, right = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
        inside = (function(ends[0]) <= 0) & (function(ends[1]) >= 0)
        return jnp.where(inside, 0.5 * (left + right), jnp.nan)

    return root(function, solve)
