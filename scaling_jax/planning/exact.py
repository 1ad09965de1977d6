"""The exact path: a `PowerSum` law and a `LinearCost`, closed form but for one scalar root.

With cost N (a D + s) and q = s / a, the Lagrange conditions of both problems, least cost at a
loss and least loss at a cost, leave one equation for y, the shift of log D from the optimum
without demand, log D0 (equation 12 of Sardana et al., arXiv 2401.00448, for a loss):

    y = mu log(1 + q e^(c - y)),    D = D0 e^y

    at a loss:  mu = 1 / beta,                      e^c = beta / (alpha + beta) / D0
    at a cost:  mu = (1 - alpha) / (alpha + beta),  e^c = 1 / D0

Along either curve the objective has one minimum, so a limit that cuts it off binds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.costs import LinearCost
from scaling_jax.laws import (
    Terms,
    log_params_for,
    log_tokens_for,
    optimal_allocation,
    optimal_log_excess,
)
from scaling_jax.planning.active import Active
from scaling_jax.planning.curves import Point
from scaling_jax.planning.finish import finished, limit_of, marginal_cost, priced
from scaling_jax.planning.records import Plan, Query
from scaling_jax.planning.scenario import Scenario
from scaling_jax.planning.validity import instead
from scaling_jax.solve import Status, log_shift


class _IsoLoss(NamedTuple):
    """The models of one loss; the best of them costs least."""

    terms: Terms
    log_excess: Number
    pull: Number

    def best(self) -> Point:
        t = self.terms
        _, log_tokens = optimal_allocation(t, self.log_excess)
        offset = -jnp.log1p(t.alpha / t.beta) - log_tokens
        log_tokens += log_shift(self.pull, offset, 1 / t.beta)
        return Point(self.params(log_tokens), log_tokens)

    def tokens(self, log_params: Number) -> jax.Array:
        return log_tokens_for(self.terms, self.log_excess, log_params)

    def params(self, log_tokens: Number) -> jax.Array:
        return log_params_for(self.terms, self.log_excess, log_tokens)


class _IsoCost(NamedTuple):
    """The models of one cost, N (D + pull) = K; the best of them has the least loss."""

    terms: Terms
    log_product: Number
    pull: Number

    def best(self) -> Point:
        t = self.terms
        _, log_tokens = optimal_allocation(t, optimal_log_excess(t, self.log_product))
        mu = (1 - t.alpha) / (t.alpha + t.beta)
        log_tokens += log_shift(self.pull, -log_tokens, mu)
        return Point(self.params(log_tokens), log_tokens)

    def tokens(self, log_params: Number) -> jax.Array:
        return jnp.log(jnp.exp(self.log_product - log_params) - self.pull)

    def params(self, log_tokens: Number) -> jax.Array:
        log_sum = log_tokens + jnp.log1p(self.pull * jnp.exp(-log_tokens))
        return jnp.asarray(self.log_product - log_sum)


def exact_plan(s: Scenario, allowed: jax.Array) -> Plan:
    """Return the optimum, elementwise over arrays and differentiable in every input.

    Where there is none, an ordinary model is computed instead and spoilt at the end, so that
    nothing in between is NaN, nor its derivatives.
    """
    law, query = s.power_sum(), s.query
    assert law is not None
    assert isinstance(s.cost, LinearCost)
    terms, rates = law.terms(), s.cost.rates(s.demand)
    pull = rates.serve / rates.train
    if query.loss is not None:
        feasible = law.log_excess(query.loss) > -jnp.inf
        ordinary = jax.lax.stop_gradient(law.loss_at(jnp.zeros_like(query.loss)))
        loss = instead(feasible, query.loss, ordinary)
        log_excess = law.log_excess(loss)
        curve = _IsoLoss(terms, log_excess, pull)
        point, active, inside = _limited(curve, curve.best(), query)
        feasible &= inside
        point = _where(feasible, point, curve.best())
    else:
        assert query.budget is not None
        curve = _IsoCost(terms, jnp.log(query.budget) - jnp.log(rates.train), pull)
        point, active, _ = _limited(curve, curve.best(), query)
        # What lies outside the limits is capped: some of the budget is then left over.
        point = _capped(point, query)
        feasible = ~jnp.isnan(point.log_params + point.log_tokens)
        point = _where(feasible, point, curve.best())
        loss = law.loss_at_log(*point)
        log_excess = law.log_excess(loss)
    model = priced(s, point, loss)
    cheapest = Point(*optimal_allocation(terms, log_excess))
    alone = _IsoLoss(terms, log_excess, 0.0)
    within = Query(max_params=query.max_params, max_tokens=query.max_tokens)
    limited, _, reached = _limited(alone, cheapest, within)
    baseline = priced(s, _where(reached, limited, cheapest), loss)
    solved = jnp.where(feasible, Status.CONVERGED.value, Status.INFEASIBLE.value)
    return finished(
        model,
        baseline,
        marginal_cost(s, point, query, active),
        {},
        limit=limit_of(query, active),
        solved=solved,
        allowed=allowed,
        method="exact",
    )


def _limited(
    curve: _IsoLoss | _IsoCost, best: Point, query: Query
) -> tuple[Point, jax.Array, jax.Array]:
    """Return the best point of the curve within each limit, and what holds it there.

    The last value says whether the point is within both; where it is not, no point of the
    curve is.
    """
    if query.params is not None or query.tokens is not None:
        point = _fixed(curve, query)
        large, long = _beyond(point, query)
        inside = ~(large | long | jnp.isnan(point.log_params + point.log_tokens))
        sized, fed = query.params is not None, query.tokens is not None
        return point, _active(large | sized, long | fed), inside
    large, long = _beyond(best, query)
    # A branch that is not taken must still be finite: `_capped` keeps it on the curve.
    capped = _capped(best, query)
    point = Point(
        jnp.where(long, curve.params(capped.log_tokens), capped.log_params),
        jnp.where(large & ~long, curve.tokens(capped.log_params), capped.log_tokens),
    )
    too_large, too_long = _beyond(point, query)
    inside = ~(too_large | too_long)
    if query.max_params is not None or query.max_tokens is not None:
        inside &= ~jnp.isnan(point.log_params + point.log_tokens)
    return point, _active(large | too_large, long | too_long), inside


def _where(condition: jax.Array, one: Point, other: Point) -> Point:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def _fixed(curve: _IsoLoss | _IsoCost, query: Query) -> Point:
    if query.params is not None:
        log_params = jnp.log(query.params)
        return Point(log_params, curve.tokens(log_params))
    assert query.tokens is not None
    log_tokens = jnp.log(query.tokens)
    return Point(curve.params(log_tokens), log_tokens)


def _beyond(point: Point, query: Query) -> tuple[jax.Array, jax.Array]:
    """Return whether log N and log D lie beyond their limits, by more than rounding."""

    def over(log_value: jax.Array, limit: Number | None) -> jax.Array:
        if limit is None:
            return jnp.zeros_like(log_value, bool)
        slack = 8 * float(jnp.finfo(log_value.dtype).eps)
        return log_value > jnp.log(limit) + slack * jnp.abs(log_value)

    return over(point.log_params, query.max_params), over(point.log_tokens, query.max_tokens)


def _capped(point: Point, query: Query) -> Point:
    def cap(log_value: jax.Array, limit: Number | None) -> jax.Array:
        return log_value if limit is None else jnp.minimum(log_value, jnp.log(limit))

    return Point(
        cap(point.log_params, query.max_params), cap(point.log_tokens, query.max_tokens)
    )


def _active(large: jax.Array, long: jax.Array) -> jax.Array:
    one_of_them = jnp.where(large, Active.SIZE.value, Active.INSIDE.value)
    other = jnp.where(large, Active.BOTH.value, Active.DATA.value)
    return jnp.where(long, other, one_of_them)
