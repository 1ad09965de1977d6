"""Newton's method for a few equations in as many unknowns, damped so that it cannot diverge."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.solve.implicit import eliminate

_MAX_STEPS = 60
_SHORTEST = 1e-4
_ROUNDING = 8.0  # in machine epsilons: a residual so small cannot be made smaller


class _State(NamedTuple):
    x: jax.Array  # the best point so far
    norm: jax.Array
    step: jax.Array  # the Newton direction there, and how far of it is tried
    length: jax.Array
    tried: jax.Array


def newton(
    residual: Callable[[jax.Array], jax.Array], guess: jax.Array, done: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return the best point found for F(x) = 0 from a guess, and max |F| there.

    A step that is not better is tried again at a quarter of its length; the search ends at
    rounding error, or when no step is better. The caller judges it. Where
    `done` is true the guess is returned at once.
    """

    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = residual(x)
        return value, value

    def body(state: _State) -> _State:
        x = state.x + state.length * state.step
        jacobian, value = jax.jacfwd(both, has_aux=True)(x)
        norm = jnp.max(jnp.abs(value))
        step = -eliminate(jacobian, value)
        better = norm < state.norm
        return _State(
            x=jnp.where(better, x, state.x),
            norm=jnp.where(better, norm, state.norm),
            step=jnp.where(better, jnp.where(jnp.isfinite(step), step, 0.0), state.step),
            length=jnp.where(better, 1.0, 0.25 * state.length).astype(x.dtype),
            tried=state.tried + 1,
        )

    def unfinished(state: _State) -> jax.Array:
        least = _ROUNDING * float(jnp.finfo(state.x.dtype).eps)
        going = (state.length > _SHORTEST) & (state.tried < _MAX_STEPS) & (state.norm > least)
        return going if done is None else going & ~done

    # What a loop carries is made from the data, so that it is of one kind on any mesh.
    zero = 0 * guess[0]
    start = _State(guess, zero + jnp.inf, 0 * guess, zero + 1, zero.astype(jnp.int32))
    end = jax.lax.while_loop(unfinished, body, start)
    return end.x, end.norm
