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

from scaling_jax._numerics import log_power
from scaling_jax._pytree import Number
from scaling_jax.costs import Demand, LinearCost, Rates
from scaling_jax.laws import (
    PowerSum,
    Terms,
    log_params_for,
    log_tokens_for,
    optimal_allocation,
    optimal_log_excess,
)
from scaling_jax.planning.records import Limit, Plan, PricedModel, Query
from scaling_jax.planning.validity import final_status, finite, in_range, positive, spoil, valid
from scaling_jax.solve import Status, log_shift


class _Point(NamedTuple):
    """A model as (log N, log D)."""

    log_params: jax.Array
    log_tokens: jax.Array


class _IsoLoss(NamedTuple):
    """The models of one loss; the best of them costs least."""

    terms: Terms
    log_excess: Number
    pull: Number

    def best(self) -> _Point:
        t = self.terms
        _, log_tokens = optimal_allocation(t, self.log_excess)
        offset = -jnp.log1p(t.alpha / t.beta) - log_tokens
        log_tokens += log_shift(self.pull, offset, 1 / t.beta)
        return _Point(self.params(log_tokens), log_tokens)

    def tokens(self, log_params: Number) -> jax.Array:
        return log_tokens_for(self.terms, self.log_excess, log_params)

    def params(self, log_tokens: Number) -> jax.Array:
        return log_params_for(self.terms, self.log_excess, log_tokens)


class _IsoCost(NamedTuple):
    """The models of one cost, N (D + pull) = K; the best of them has the least loss."""

    terms: Terms
    log_product: Number
    pull: Number

    def best(self) -> _Point:
        t = self.terms
        _, log_tokens = optimal_allocation(t, optimal_log_excess(t, self.log_product))
        mu = (1 - t.alpha) / (t.alpha + t.beta)
        log_tokens += log_shift(self.pull, -log_tokens, mu)
        return _Point(self.params(log_tokens), log_tokens)

    def tokens(self, log_params: Number) -> jax.Array:
        return jnp.log(jnp.exp(self.log_product - log_params) - self.pull)

    def params(self, log_tokens: Number) -> jax.Array:
        log_sum = log_tokens + jnp.log1p(self.pull * jnp.exp(-log_tokens))
        return jnp.asarray(self.log_product - log_sum)


def exact_plan(law: PowerSum, cost: LinearCost, demand: Demand, query: Query) -> Plan:
    """Return the optimum, elementwise over arrays and differentiable in every input."""
    terms, rates = law.terms(), cost.rates(demand)
    pull = rates.serve / rates.train
    allowed = valid((law, cost, demand, query))
    # What is wrong is spoilt at the source: NaN then runs through every number below.
    if query.loss is not None:
        loss, log_excess = query.loss, law.log_excess(query.loss)
        feasible = log_excess > -jnp.inf
        loss, log_excess = spoil(allowed & feasible, (loss, log_excess))
        point, limit, inside = _limited(_IsoLoss(terms, log_excess, pull), query)
        point, loss, log_excess = spoil(inside, (point, loss, log_excess))
        feasible &= inside
    else:
        assert query.budget is not None
        product = jnp.log(query.budget) - jnp.log(rates.train)
        curve = _IsoCost(terms, spoil(allowed, product), pull)
        point, limit, _ = _limited(curve, query)
        # What lies outside the limits is capped: some of the budget is then left over.
        point = _capped(point, query)
        feasible = ~jnp.isnan(point.log_params + point.log_tokens)
        point = spoil(feasible, point)
        loss = law.loss_at_log(*point)
        log_excess = law.log_excess(loss)
    model = _priced(point, loss, rates)
    baseline = _priced(_Point(*optimal_allocation(terms, log_excess)), loss, rates)
    solved = jnp.where(feasible, Status.CONVERGED.value, Status.INFEASIBLE.value)
    return Plan(
        **vars(model),
        baseline=baseline,
        marginal_cost=_marginal_cost(law, point, model, query, limit),
        limit=limit,
        status=final_status(solved, in_range(model) & in_range(baseline), allowed),
    )


def _limited(curve: _IsoLoss | _IsoCost, query: Query) -> tuple[_Point, jax.Array, jax.Array]:
    """Return the best point of the curve within each limit, and the limits that bind.

    The last value says whether the point is within both; where it is not, no point of the
    curve is.
    """
    if query.params is not None or query.tokens is not None:
        point = _fixed(curve, query)
        large, long = _beyond(point, query)
        inside = ~(large | long | jnp.isnan(point.log_params + point.log_tokens))
        return point, _as_limit(large, long), inside
    best = curve.best()
    large, long = _beyond(best, query)
    # A branch that is not taken must still be finite: `_capped` keeps it on the curve.
    capped = _capped(best, query)
    point = _Point(
        jnp.where(long, curve.params(capped.log_tokens), capped.log_params),
        jnp.where(large & ~long, curve.tokens(capped.log_params), capped.log_tokens),
    )
    too_large, too_long = _beyond(point, query)
    inside = ~(too_large | too_long)
    if query.max_params is not None or query.max_tokens is not None:
        inside &= ~jnp.isnan(point.log_params + point.log_tokens)
    return point, _as_limit(large | too_large, long | too_long), inside


def _fixed(curve: _IsoLoss | _IsoCost, query: Query) -> _Point:
    if query.params is not None:
        log_params = jnp.log(query.params)
        return _Point(log_params, curve.tokens(log_params))
    assert query.tokens is not None
    log_tokens = jnp.log(query.tokens)
    return _Point(curve.params(log_tokens), log_tokens)


def _beyond(point: _Point, query: Query) -> tuple[jax.Array, jax.Array]:
    """Return whether log N and log D lie beyond their limits, by more than rounding."""

    def over(log_value: jax.Array, limit: Number | None) -> jax.Array:
        if limit is None:
            return jnp.zeros(jnp.shape(log_value), bool)
        slack = 8 * float(jnp.finfo(log_value.dtype).eps)
        return log_value > jnp.log(limit) + slack * jnp.abs(log_value)

    return over(point.log_params, query.max_params), over(point.log_tokens, query.max_tokens)


def _capped(point: _Point, query: Query) -> _Point:
    def cap(log_value: jax.Array, limit: Number | None) -> jax.Array:
        return log_value if limit is None else jnp.minimum(log_value, jnp.log(limit))

    return _Point(
        cap(point.log_params, query.max_params), cap(point.log_tokens, query.max_tokens)
    )


def _as_limit(large: jax.Array, long: jax.Array) -> jax.Array:
    large_code = Limit.MAX_PARAMS * large.astype(jnp.int32)
    return large_code + Limit.MAX_TOKENS * long.astype(jnp.int32)


def _priced(point: _Point, loss: Number, rates: Rates) -> PricedModel:
    params, tokens = positive(jnp.exp(point.log_params)), positive(jnp.exp(point.log_tokens))
    return PricedModel(
        params=params,
        tokens=tokens,
        loss=jnp.asarray(loss),
        train_cost=positive(params * tokens * rates.train),
        serve_cost=finite(params * rates.serve),
    )


def _marginal_cost(
    law: PowerSum, point: _Point, model: PricedModel, query: Query, limit: jax.Array
) -> jax.Array:
    """Return d(total cost) / d(loss), by the variable that is free to move.

    At an unlimited optimum both give the same. Tokens: dK/dD / dL/dD; where the tokens are
    held, params: dK/dN / dL/dN.
    """
    t = law.terms()
    log_size = log_power(t.log_a, t.alpha, point.log_params)
    log_data = log_power(t.log_b, t.beta, point.log_tokens)
    log_excess = jnp.logaddexp(log_size, log_data)
    _, slope = jax.jvp(law.loss_at, (log_excess,), (jnp.ones_like(log_excess),))
    by_tokens = -model.train_cost / (t.beta * jnp.exp(log_data - log_excess) * slope)
    by_params = -model.total_cost / (t.alpha * jnp.exp(log_size - log_excess) * slope)
    at_max_params = (limit == Limit.MAX_PARAMS) | (limit == Limit.BOTH)
    at_max_tokens = (limit == Limit.MAX_TOKENS) | (limit == Limit.BOTH)
    params_held = at_max_params | (query.params is not None)
    tokens_held = at_max_tokens | (query.tokens is not None)
    marginal = jnp.where(tokens_held, by_params, by_tokens)
    return jnp.where(params_held & tokens_held, -jnp.inf, marginal)
