"""Derivatives through a root: the implicit function theorem, written down once.

At a root x(theta) of F(x, theta) = 0,  dx = -(dF/dx)^-1 (dF/dtheta) dtheta,  however the
root was found. `jax.lax.custom_root` applies the rule in forward and reverse mode and to
any order, and theta is whatever `residual` closes over. This module is the only place that
calls it, so that it can be replaced.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scaling_jax.solve.meshes import vary_as

Map = Callable[[jax.Array], jax.Array]


def divide(tangent: Map, right: jax.Array) -> jax.Array:
    """Solve an elementwise tangent system: the Jacobian is diagonal."""
    return right / tangent(jnp.ones_like(right))


def dense(tangent: Map, right: jax.Array) -> jax.Array:
    """Solve a tangent system of a few unknowns through its dense Jacobian."""
    return jnp.linalg.solve(jax.jacfwd(tangent)(jnp.zeros_like(right)), right)


def root(
    residual: Map,
    solve: Callable[[], jax.Array],
    linear_solve: Callable[[Map, jax.Array], jax.Array] = divide,
) -> jax.Array:
    """Return `solve()`, a root of `residual`, differentiable by the implicit function theorem.

    Args:
        residual: F(x); the quantities that it closes over may be traced and differentiated.
        solve: finds the root by any means; it is never differentiated.
        linear_solve: solves J v = b given v -> J v: `divide` or `dense`.

    Example:
        >>> cube_root = lambda a: root(lambda x: x**3 - a, lambda: jnp.cbrt(a))
        >>> print(f"{jax.grad(cube_root)(8.0):.5f}")
        0.08333
    """
    out = jax.eval_shape(solve)
    guess = vary_as(out, jnp.zeros(out.shape, out.dtype))
    return jax.lax.custom_root(residual, guess, lambda _f, _x: solve(), linear_solve)
