"""Derivatives through a root: the implicit function theorem, written down once.

At a root x(theta) of F(x, theta) = 0,  dx = -(dF/dx)^-1 (dF/dtheta) dtheta,  however the
root was found. `jax.lax.custom_root` applies the rule in forward and reverse mode and to
any order, and theta is whatever `residual` closes over. This module is the only place that
calls it, so that it can be replaced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax.solve.meshes import vary_as

Map = Callable[[jax.Array], jax.Array]


def divide(tangent: Map, right: jax.Array) -> jax.Array:
    """Solve an elementwise tangent system: the Jacobian is diagonal."""
    return right / tangent(jnp.ones_like(right))


def dense(tangent: Map, right: jax.Array) -> jax.Array:
    """Solve a tangent system of a few unknowns through its dense Jacobian."""
    return eliminate(jax.jacfwd(tangent)(jnp.zeros_like(right)), right)


def eliminate(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve a small linear system [n, n] x = [n] by Givens rotations.

    Written out: a batched LAPACK call costs far more for so few unknowns, and on a CPU it
    waits for the threads that it runs on. Rotations rather than pivots: a compiler that
    computes a number twice may round it twice, and at a tie exchange one half of the rows.
    """
    size = right.shape[0]
    scale = jnp.max(jnp.abs(matrix), axis=1)
    scale = jnp.where(scale > 0, scale, 1.0)
    rows = [matrix[i] / scale[i] for i in range(size)]
    values = [right[i] / scale[i] for i in range(size)]
    for k in range(size):
        for i in range(k + 1, size):
            turn = _rotation(rows[k][k], rows[i][k])
            rows[k], rows[i] = turn(rows[k], rows[i])
            values[k], values[i] = turn(values[k], values[i])
    out: list[jax.Array] = [values[-1]] * size
    for k in reversed(range(size)):
        known = sum((rows[k][j] * out[j] for j in range(k + 1, size)), 0 * values[k])
        out[k] = (values[k] - known) / rows[k][k]
    return jnp.stack(out)


def _rotation(x: jax.Array, y: jax.Array) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the rotation that takes (x, y) to (r, 0)."""
    squared = x**2 + y**2
    flat = squared == 0
    length = jnp.sqrt(jnp.where(flat, 1.0, squared))
    cosine, sine = jnp.where(flat, 1.0, x / length), y / length
    return lambda a, b: (cosine * a + sine * b, cosine * b - sine * a)


def root(
    residual: Map,
    solve: Callable[[], Any],
    linear_solve: Callable[[Map, jax.Array], jax.Array] = divide,
    *,
    has_aux: bool = False,
) -> Any:
    """Return `solve()`, a root of `residual`, differentiable by the implicit function theorem.

    Args:
        residual: F(x); the quantities that it closes over may be traced and differentiated.
        solve: finds the root by any means; it is never differentiated.
        linear_solve: solves J v = b given v -> J v: `divide` or `dense`.
        has_aux: `solve` returns (root, anything else), and so does this; what else it is has
            no derivative.

    Example:
        >>> cube_root = lambda a: root(lambda x: x**3 - a, lambda: jnp.cbrt(a))
        >>> print(f"{jax.grad(cube_root)(8.0):.5f}")
        0.08333
    """
    out = jax.eval_shape(solve)
    shape = out[0] if has_aux else out
    guess = vary_as(shape, jnp.zeros(shape.shape, shape.dtype))
    return jax.lax.custom_root(
        residual, guess, lambda _f, _x: solve(), linear_solve, has_aux=has_aux
    )
