"""The augmented Lagrangian, minimised by any Optax transformation.

    f(x) + lambda . h(x) + rho/2 |h(x)|^2 + (|max(0, mu + rho g(x))|^2 - |mu|^2) / (2 rho)

for min f subject to h = 0 and g <= 0. Source: Nocedal and Wright, "Numerical
Optimization", 2nd edition, section 17.3.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

_OUTER_STEPS = 30
_INNER_STEPS = 200
_PENALTY_GROWTH = 4.0
_FIRST_PENALTY = 10.0
_MAX_PENALTY = 1e6


class Problem(NamedTuple):
    """Objective, equality constraints h(x) = 0 and inequality constraints g(x) <= 0."""

    objective: Callable[[jax.Array], jax.Array]
    equality: Callable[[jax.Array], jax.Array]
    inequality: Callable[[jax.Array], jax.Array]


class Point(NamedTuple):
    """A point with one multiplier per constraint."""

    x: jax.Array
    equality: jax.Array
    inequality: jax.Array


class _Outer(NamedTuple):
    point: Point
    penalty: jax.Array
    violation: jax.Array
    round: jax.Array


def augmented_lagrangian(
    problem: Problem,
    guess: jax.Array,
    optimiser: optax.GradientTransformation,
    tolerance: float,
) -> Point:
    """Return a point near the constrained minimum, multipliers included."""
    transform = optax.with_extra_args_support(optimiser)

    def violation(point: Point) -> jax.Array:
        # A slack inequality with a zero multiplier is no violation.
        slack = jnp.maximum(problem.inequality(point.x), -point.inequality)
        both = jnp.concatenate([problem.equality(point.x), slack, jnp.zeros(1, guess.dtype)])
        return jnp.max(jnp.abs(both))

    def outer(state: _Outer) -> _Outer:
        point, penalty = state.point, state.penalty

        def lagrangian(x: jax.Array) -> jax.Array:
            h, g = problem.equality(x), problem.inequality(x)
            pushed = jnp.maximum(0.0, point.inequality + penalty * g)
            equal = point.equality @ h + penalty / 2 * (h @ h)
            return problem.objective(x) + equal + (pushed @ pushed) / (2 * penalty)

        x = _descend(lagrangian, point.x, transform, tolerance)
        h, g = problem.equality(x), problem.inequality(x)
        point = Point(
            x=x,
            equality=point.equality + penalty * h,
            inequality=jnp.maximum(0.0, point.inequality + penalty * g),
        )
        left = violation(point)
        slow = left > state.violation / _PENALTY_GROWTH
        penalty = jnp.where(slow, penalty * _PENALTY_GROWTH, penalty)
        return _Outer(
            point=point,
            penalty=jnp.minimum(penalty, _MAX_PENALTY),
            violation=left,
            round=state.round + 1,
        )

    def unfinished(state: _Outer) -> jax.Array:
        return (state.violation > tolerance) & (state.round < _OUTER_STEPS)

    dtype = guess.dtype
    none = jnp.zeros_like
    start = Point(guess, none(problem.equality(guess)), none(problem.inequality(guess)))
    infinity = jnp.asarray(jnp.inf, dtype)
    penalty = jnp.asarray(_FIRST_PENALTY, dtype)
    first = _Outer(start, penalty, infinity, jnp.asarray(0))
    last = jax.lax.while_loop(unfinished, outer, first)
    return last.point


class _Inner(NamedTuple):
    x: jax.Array
    state: optax.OptState
    gradient: jax.Array
    step: jax.Array


def _descend(
    function: Callable[[jax.Array], jax.Array],
    guess: jax.Array,
    transform: optax.GradientTransformationExtraArgs,
    tolerance: float,
) -> jax.Array:
    """Minimise a smooth function until its gradient is small or the steps run out."""
    value_and_grad = jax.value_and_grad(function)

    def body(inner: _Inner) -> _Inner:
        value, gradient = value_and_grad(inner.x)
        # Optax is not written for callers who run under strict promotion.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            updates, state = transform.update(
                gradient,
                inner.state,
                inner.x,
                value=value,
                grad=gradient,
                value_fn=function,
            )
        x = jnp.asarray(optax.apply_updates(inner.x, updates))
        # A step into NaN (no loss law holds everywhere) is not taken: the search ends.
        sound = jnp.all(jnp.isfinite(x))
        return _Inner(
            x=jnp.where(sound, x, inner.x),
            state=state,
            gradient=jnp.where(sound, gradient, 0.0),
            step=inner.step + 1,
        )

    def unfinished(inner: _Inner) -> jax.Array:
        small = jnp.max(jnp.abs(inner.gradient)) <= tolerance
        return ~small & (inner.step < _INNER_STEPS)

    first = _Inner(guess, transform.init(guess), jnp.full_like(guess, jnp.inf), jnp.asarray(0))
    return jax.lax.while_loop(unfinished, body, first).x
