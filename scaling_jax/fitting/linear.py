"""Small symmetric systems, written out element by element.

Every number of the matrix is its own array, so that under `jax.vmap` a thousand systems of
five unknowns are a few hundred vector operations and no calls to a library of matrices.
"""

import jax
import jax.numpy as jnp

# A pivot below this share of its scale is rounding error.
_SMALLEST_PIVOT = 1e-13


def solve_symmetric(
    matrix: jax.Array, right: jax.Array, scale: jax.Array, damping: jax.Array | float
) -> jax.Array:
    """Solve (M + damping diag(scale)) v = b, with M bent to be positive definite.

    M = L D L^T is factored without pivoting; a negative pivot changes its sign, so that v
    always has a positive product with b: -v is a direction of descent when b is a gradient.

    Args:
        matrix: M, [p, p].
        right: b, [p].
        scale: positive numbers of the size of M's diagonal, [p].
        damping: how much of `scale` is added.
    """
    p = right.shape[0]
    lower: list[list[jax.Array]] = [[] for _ in range(p)]
    pivots: list[jax.Array] = []
    for j in range(p):
        for i in range(j, p):
            entry = matrix[i, j]
            for k in range(j):
                entry = entry - lower[i][k] * lower[j][k] * pivots[k]
            if i == j:
                entry = jnp.abs(entry + damping * scale[j])
                pivots.append(jnp.maximum(entry, _SMALLEST_PIVOT * scale[j]))
            else:
                lower[i].append(entry / pivots[j])
    forward: list[jax.Array] = []
    for i in range(p):
        entry = right[i]
        for k in range(i):
            entry = entry - lower[i][k] * forward[k]
        forward.append(entry)
    solution = [forward[i] / pivots[i] for i in range(p)]
    for i in reversed(range(p)):
        for k in range(i + 1, p):
            solution[i] = solution[i] - lower[k][i] * solution[k]
    return jnp.stack(solution)
