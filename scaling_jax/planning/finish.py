"""From a model to a `Plan`: prices, the price of quality, the limit, the status."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.active import Active
from scaling_jax.planning.curves import Point
from scaling_jax.planning.records import Limit, Method, Plan, PricedModel, Query
from scaling_jax.planning.scenario import Scenario
from scaling_jax.planning.validity import final_status, in_range, spoil
from scaling_jax.solve import Status


def priced(s: Scenario, point: Point, loss: Number | None = None) -> PricedModel:
    """Return a model with its bill, and its loss unless that is known."""
    bill = s.bill(*point)
    zero = jnp.zeros_like(point.log_params)
    return PricedModel(
        params=jnp.exp(point.log_params),
        tokens=jnp.exp(point.log_tokens),
        loss=jnp.asarray(s.loss(*point) if loss is None else loss),
        train_cost=jnp.asarray(bill.train + zero),
        serve_cost=jnp.asarray(bill.serve + zero),
    )


def marginal_cost(s: Scenario, point: Point, query: Query, active: jax.Array) -> jax.Array:
    """Return d(total cost) / d(loss), by the variable that is free to move.

    At an unlimited optimum both give the same. Tokens: dK/dD / dL/dD; where the tokens are
    held, params: dK/dN / dL/dN.
    """

    def both(n: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.asarray(s.bill(n, t).total), s.loss(n, t)

    one, none = jnp.ones_like(point.log_params), jnp.zeros_like(point.log_params)
    _, (cost, loss) = jax.jvp(both, tuple(point), (none, one))
    by_tokens = cost / loss
    _, (cost, loss) = jax.jvp(both, tuple(point), (one, none))
    by_params = cost / loss
    tokens_held = (active == Active.DATA) | (active == Active.BOTH) | (query.tokens is not None)
    params_held = (active == Active.SIZE) | (active == Active.BOTH) | (active == Active.RISE)
    left_over = (active == Active.RISE) | (active == Active.HELD) | (active == Active.CREST)
    nothing = (tokens_held & params_held) | left_over
    return jnp.where(nothing, -jnp.inf, jnp.where(tokens_held, by_params, by_tokens))


def limit_of(query: Query, active: jax.Array) -> jax.Array:
    """Return which of the limits binds; what is given is none."""
    size = (active == Active.SIZE) | (active == Active.BOTH) | (active == Active.RISE)
    data = (active == Active.DATA) | (active == Active.BOTH) | (active == Active.HELD)
    code = jnp.zeros_like(active)
    if query.max_params is not None:
        code += jnp.where(size, Limit.MAX_PARAMS.value, 0)
    if query.max_tokens is not None:
        code += jnp.where(data, Limit.MAX_TOKENS.value, 0)
    return code.astype(jnp.int32)


def finished(
    model: PricedModel,
    baseline: PricedModel,
    marginal: jax.Array,
    choices: Mapping[str, Any],
    *,
    limit: jax.Array,
    solved: jax.Array,
    allowed: jax.Array,
    method: Method,
) -> Plan:
    """Return a plan: its status, and NaN in every number where that is not `CONVERGED`."""
    status = final_status(solved, in_range(model) & in_range(baseline), allowed)
    sound = status == Status.CONVERGED.value
    model, baseline, marginal, choices = spoil(
        sound, (model, baseline, marginal, dict(choices))
    )
    return Plan(
        **vars(model),
        baseline=baseline,
        marginal_cost=marginal,
        limit=limit,
        status=status,
        choices=choices,
        method=method,
    )
