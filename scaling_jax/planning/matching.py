"""Which loss is as good as another model, and which model is compute-optimal."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.records import Query
from scaling_jax.planning.scenario import LOG_TOKENS, as_power_sum, loss_of
from scaling_jax.solve import increasing_root


def resolved(law: Any, query: Query, axes: Mapping[str, Any]) -> Query:
    """Return the question with the loss in place of the model that is to be matched."""
    if query.match_params is None:
        return query
    log_params = jnp.log(query.match_params)
    if query.match_tokens is None:
        log_tokens = optimal_log_tokens(law, log_params, axes)
    else:
        log_tokens = jnp.log(query.match_tokens)
    wanted = {"loss": loss_of(law, log_params, log_tokens, axes)}
    kept = {k: v for k, v in vars(query).items() if not k.startswith("match_")}
    return Query(**(kept | wanted))


def optimal_log_tokens(law: Any, log_params: Number, axes: Mapping[str, Any]) -> jax.Array:
    """Return log D for which a size is compute-optimal: there dL/dlogN = dL/dlogD."""
    log_params = jnp.asarray(log_params)
    power = as_power_sum(law, axes)
    if power is not None:
        t = power.terms()
        log_excess = t.log_a_excess - t.alpha * log_params
        return jnp.asarray((t.log_b_excess - log_excess) / t.beta)

    def excess(log_tokens: jax.Array) -> jax.Array:
        by_params, by_tokens = jax.grad(
            lambda n, t: jnp.sum(loss_of(law, n, t, axes)), (0, 1)
        )(log_params + 0 * log_tokens, log_tokens + 0 * log_params)
        return by_tokens - by_params

    return increasing_root(excess, *LOG_TOKENS)
