"""Newton's method for a few equations in as many unknowns, damped so that it cannot diverge."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.solve.implicit import eliminate

_MAX_STEPS = 50
_LENGTHS = tuple(4.0**-k for k in range(6))


class _State(NamedTuple):
    x: jax.Array
    value: jax.Array
    norm: jax.Array
    moving: jax.Array
    step: jax.Array


def newton(
    residual: Callable[[jax.Array], jax.Array], guess: jax.Array, done: jax.Array | None = None
) -> jax.Array:
    """Return the best point found for F(x) = 0 from a guess.

    Each step tries the Newton direction at lengths 1, 1/4, 1/16 … and takes the best; it ends
    when none is better, which near a root means: at rounding error. The caller judges the
    residual. Where `done` is true the guess is returned at once.
    """

    def norm(value: jax.Array) -> jax.Array:
        size = jnp.max(jnp.abs(value))
        return jnp.where(jnp.isfinite(size), size, jnp.inf)

    def body(state: _State) -> _State:
        step = -eliminate(jax.jacfwd(residual)(state.x), state.value)
        step = jnp.where(jnp.isfinite(step), step, 0.0)
        best = (state.x, state.value, state.norm)
        for length in _LENGTHS:
            x = state.x + length * step
            value = residual(x)
            trial = (x, value, norm(value))
            better = trial[2] < best[2]
            best = tuple(jnp.where(better, a, b) for a, b in zip(trial, best, strict=True))
        return _State(*best, best[2] < state.norm, state.step + 1)

    def unfinished(state: _State) -> jax.Array:
        return state.moving & (state.step < _MAX_STEPS)

    value = residual(guess)
    size = norm(value)
    moving = size >= 0  # of the same kind as what the loop makes of it, on any mesh
    moving = moving if done is None else moving & ~done
    start = _State(guess, value, size, moving, (0 * size).astype(jnp.int32))
    return jax.lax.while_loop(unfinished, body, start).x
