"""The augmented Lagrangian, minimised by any Optax transformation.

    f(x) + lambda . h(x) + rho/2 |h(x)|^2 + (|max(0, mu + rho g(x))|^2 - |mu|^2) / (2 rho)

for min f subject to h = 0 and g <= 0. Source: Nocedal and Wright, "Numerical
Optimization", 2nd edition, section 17.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    import optax

_OUTER_STEPS = 30
_INNER_STEPS = 200
_PENALTY_GROWTH = 4.0
_FIRST_PENALTY = 10.0
_MAX_PENALTY = 1e6


class Point(NamedTuple):
    """A point with one multiplier per constraint."""

    x: jax.Array
    equality: jax.Array
    inequality: jax.Array


class Problem(NamedTuple):
    """Objective, constraints h(x) = 0 and g(x) <= 0, and bounds of x."""

    objective: Callable[[jax.Array], jax.Array]
    equality: Callable[[jax.Array], jax.Array]
    inequality: Callable[[jax.Array], jax.Array]
    low: jax.Array
    high: jax.Array

    def split(self, packed: jax.Array) -> Point:
        """Return a point from one flat array."""
        n = self.low.size
        m = jax.eval_shape(self.equality, self.low).size
        return Point(packed[:n], packed[n : n + m], packed[n + m :])

    def start(self, x: jax.Array) -> Point:
        """Return x within the bounds, with the multipliers that balance the gradients best
        if one constraint alone is in force.
        """
        x = jnp.clip(x, self.low, self.high)
        free = ((x > self.low) & (x < self.high)).astype(x.dtype)
        slope = jax.grad(self.objective)(x) * free

        def balance(function: Callable[[jax.Array], jax.Array]) -> jax.Array:
            rows = jax.jacfwd(function)(x) * free[None, :]
            size = jnp.sum(rows * rows, axis=1)
            return -jnp.sum(rows * slope[None, :], axis=1) / jnp.where(size > 0, size, 1.0)

        near = self.inequality(x) > -1e-3
        mu = jnp.where(near, jnp.maximum(balance(self.inequality), 0.0), 0.0)
        return Point(x, balance(self.equality), mu)

    def residual(self, point: Point) -> jax.Array:
        """Return the KKT conditions as equations, semismooth in what is active."""

        def lagrangian(x: jax.Array) -> jax.Array:
            equal = jnp.sum(point.equality * self.equality(x))
            return self.objective(x) + equal + jnp.sum(point.inequality * self.inequality(x))

        slope, g = jax.grad(lagrangian)(point.x), self.inequality(point.x)
        down = point.x - slope
        stationary = jnp.where(down < self.low, point.x - self.low, slope)
        stationary = jnp.where(down > self.high, point.x - self.high, stationary)
        complementary = jnp.where(point.inequality + g > 0, g, point.inequality)
        return jnp.concatenate([stationary, self.equality(point.x), complementary])

    def violation(self, x: jax.Array) -> jax.Array:
        """Return by how much the worst constraint is violated; infinity for NaN."""
        parts = [jnp.abs(self.equality(x)), self.inequality(x), self.low - x, x - self.high]
        worst = jnp.max(jnp.concatenate(parts))
        return jnp.where(jnp.isnan(worst), jnp.inf, jnp.maximum(worst, 0.0))


class _Outer(NamedTuple):
    point: Point
    penalty: jax.Array
    violation: jax.Array
    round: jax.Array
    done: jax.Array


def augmented_lagrangian(
    problem: Problem,
    start: Point,
    optimiser: optax.GradientTransformation,
    tolerance: float,
    done: jax.Array,
) -> Point:
    """Return a point near the constrained minimum, multipliers included.

    Bounds are constraints like others here. Where `done` is true the start is returned.
    """
    import optax  # noqa: PLC0415 (slow to import, and most plans do not need it)

    transform = optax.with_extra_args_support(optimiser)
    low, high = jnp.isfinite(problem.low), jnp.isfinite(problem.high)

    def inequality(x: jax.Array) -> jax.Array:
        below = jnp.where(low, problem.low - x, -1.0)
        above = jnp.where(high, x - problem.high, -1.0)
        return jnp.concatenate([problem.inequality(x), below, above])

    def violation(point: Point) -> jax.Array:
        # A slack inequality with a zero multiplier is no violation.
        slack = jnp.maximum(inequality(point.x), -point.inequality)
        worst = jnp.max(jnp.abs(jnp.concatenate([problem.equality(point.x), slack])))
        return jnp.where(jnp.isnan(worst), jnp.inf, worst)

    def outer(state: _Outer) -> _Outer:
        point, penalty = state.point, state.penalty

        def lagrangian(x: jax.Array) -> jax.Array:
            h, g = problem.equality(x), inequality(x)
            pushed = jnp.maximum(0.0, point.inequality + penalty * g)
            equal = jnp.sum(point.equality * h) + penalty / 2 * jnp.sum(h * h)
            return problem.objective(x) + equal + jnp.sum(pushed * pushed) / (2 * penalty)

        x = _descend(lagrangian, point.x, transform, tolerance, state.done)
        h, g = problem.equality(x), inequality(x)
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
            done=state.done | (left <= tolerance),
        )

    def unfinished(state: _Outer) -> jax.Array:
        return ~state.done & (state.round < _OUTER_STEPS)

    # Multipliers of the bounds begin at zero; what a loop carries is made from the data.
    x, zero = start.x, 0 * start.x[0]
    inside = jnp.concatenate([start.inequality, 0 * x, 0 * x])
    first = _Outer(
        Point(x, start.equality, inside),
        penalty=zero + _FIRST_PENALTY,
        violation=zero + jnp.inf,
        round=zero.astype(jnp.int32),
        done=done | (zero != 0),
    )
    last = jax.lax.while_loop(unfinished, outer, first).point
    return last._replace(inequality=last.inequality[: start.inequality.size])


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
    done: jax.Array,
) -> jax.Array:
    """Minimise a smooth function until its gradient is small or the steps run out."""
    import optax  # noqa: PLC0415

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
        return ~small & (inner.step < _INNER_STEPS) & ~done

    far, none = guess * 0 + jnp.inf, (0 * guess[0]).astype(jnp.int32)
    # Optax starts its state from constants: made from the data they fit any mesh.
    state = jax.tree.map(lambda x: x + none.astype(x.dtype), transform.init(guess))
    first = _Inner(guess, state, far, none)
    return jax.lax.while_loop(unfinished, body, first).x
