"""Newton's method for a few equations in as many unknowns, damped so that it cannot diverge."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

_MAX_STEPS = 50
_HALVINGS = 12


class _State(NamedTuple):
    x: jax.Array
    norm: jax.Array
    moving: jax.Array
    step: jax.Array


def newton(residual: Callable[[jax.Array], jax.Array], guess: jax.Array) -> jax.Array:
    """Return the best point found for F(x) = 0 from a guess.

    Each step tries the Newton direction at lengths 1, 1/2, 1/4 … in one batch and takes the
    best; it ends when none is better, which near a root means: at rounding error. The
    caller judges the residual.
    """

    def norm(x: jax.Array) -> jax.Array:
        size = jnp.linalg.norm(residual(x))
        return jnp.where(jnp.isfinite(size), size, jnp.inf)

    lengths = 0.5 ** jnp.arange(_HALVINGS, dtype=guess.dtype)

    def body(state: _State) -> _State:
        jacobian = jax.jacfwd(residual)(state.x)
        direction = -jnp.linalg.solve(jacobian, residual(state.x))
        trials = jax.vmap(lambda length: state.x + length * direction)(lengths)
        norms = jax.vmap(norm)(trials)
        best = jnp.argmin(norms)
        better = norms[best] < state.norm
        return _State(
            x=jnp.where(better, trials[best], state.x),
            norm=jnp.minimum(norms[best], state.norm),
            moving=better,
            step=state.step + 1,
        )

    def unfinished(state: _State) -> jax.Array:
        return state.moving & (state.step < _MAX_STEPS)

    start = _State(guess, norm(guess), jnp.asarray(True), jnp.asarray(0))
    return jax.lax.while_loop(unfinished, body, start).x
