"""From what a search found to a model with derivatives, and the baseline beside it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._axes import call_cost
from scaling_jax._pytree import Number
from scaling_jax.planning.active import Found, solve
from scaling_jax.planning.curves import Point, ShareCurve
from scaling_jax.planning.scenario import Scenario
from scaling_jax.planning.searching import kinked, search
from scaling_jax.solve.monomial import exponents


class Answer(NamedTuple):
    """A model, what was found of it by search, and whether the two agree."""

    point: Point
    found: Found
    sound: jax.Array


def answered(s: Scenario, found: Found) -> Answer:
    """Return the model for what was found, differentiable."""
    held = jax.lax.stop_gradient(s)
    point, error = solve(s, found, kinked(held))
    return Answer(point, found, converged(error) & _as_good_as(held, found, point))


def baseline(s: Scenario, loss: Number, known: Point) -> tuple[Point, jax.Array]:
    """Return the model of a loss that is cheapest to train, within the same limits, and
    whether the search for it has converged.

    Differentiable. In closed form where training costs c N D and the law is a sum of powers.
    `known` is a model of that loss: where the search finds none, or none cheaper, that is it.
    """
    alone = s.alone(loss)
    if not trains_by_product(alone):
        return searched(alone, answered(alone, search(jax.lax.stop_gradient(alone))), known)
    power = alone.power_sum()
    assert power is not None
    curve = ShareCurve.of(alone, power.log_excess(loss))
    u = jnp.log(curve.terms.beta) - jnp.log(curve.terms.alpha)
    u = jnp.minimum(u, curve.high) if s.query.max_tokens is not None else u
    u = jnp.maximum(u, curve.low) if s.query.max_params is not None else u
    found = curve.feasible()
    u = jnp.where(found, u, 0.0)
    return _cheaper(alone, curve.at(u, u), known, found), found == found  # noqa: PLR0124 (true, typed as it)


def searched(alone: Scenario, answer: Answer, known: Point) -> tuple[Point, jax.Array]:
    """Return the baseline for what the search for it has answered, as `baseline` does."""
    exists = ~jnp.isnan(answer.found.value)
    return _cheaper(alone, answer.point, known, exists), answer.sound | ~exists


def _cheaper(s: Scenario, point: Point, known: Point, exists: jax.Array) -> Point:
    known_cost, cost = s.log_cost(*known), s.log_cost(*point)
    slack = 64 * jnp.finfo(cost.dtype).eps * (1 + jnp.abs(cost))
    exists &= ~(known_cost < cost - slack)
    return jax.tree.map(lambda x, y: jnp.where(exists, x, y), point, known)


def trains_by_product(alone: Scenario) -> bool:
    """Return whether training costs c N D under a law that is a sum of powers."""
    zero = jnp.zeros_like(jnp.asarray(alone.query.loss))

    def train(params: jax.Array, tokens: jax.Array) -> jax.Array:
        return jnp.asarray(
            call_cost(alone.cost, params, tokens, alone.demand, **alone.axes).train
        )

    return alone.power_sum() is not None and exponents(train, zero, zero) == (1.0, 1.0)


def _as_good_as(s: Scenario, found: Found, point: Point) -> jax.Array:
    """Return whether a model is within the limits and no worse than the one found."""
    q = s.query
    objective = s.log_cost if q.loss is not None else s.log_loss
    slack = float(jnp.finfo(found.value.dtype).eps) ** 0.55
    good = objective(*point) <= found.value + slack
    if q.max_params is not None:
        good &= point.log_params <= jnp.log(q.max_params) + slack
    if q.max_tokens is not None:
        good &= point.log_tokens <= jnp.log(q.max_tokens) + slack
    return good


def converged(error: jax.Array) -> jax.Array:
    """Return whether the error of two equations of order one is rounding."""
    return error <= float(jnp.finfo(error.dtype).eps) ** 0.6
