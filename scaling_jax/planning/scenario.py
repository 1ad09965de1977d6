"""One law, cost, demand and question, as functions of log N and log D."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._axes import call_cost, call_law, cost_axes, law_axes
from scaling_jax._numerics import log_large
from scaling_jax._pytree import Number
from scaling_jax.costs import Bill, Cost
from scaling_jax.laws import Law, PowerSum
from scaling_jax.planning.records import Query

# Where models are looked for: up to 1e20 params and 1e25 tokens.
LOG_PARAMS = (0.0, 46.0)
LOG_TOKENS = (0.0, 57.5)


class Scenario(NamedTuple):
    """What is asked, with the axes that are given. Everything is a scalar."""

    law: Callable[..., Any]
    cost: Callable[..., Bill]
    demand: Any
    query: Query
    axes: Mapping[str, Any]
    serves: Any = True  # False: what serving costs does not count

    def loss(self, log_params: Number, log_tokens: Number) -> jax.Array:
        """Return the loss under the law."""
        return loss_of(self.law, log_params, log_tokens, self.axes)

    def log_loss(self, log_params: Number, log_tokens: Number) -> jax.Array:
        """Return the logarithm of the loss."""
        return jnp.log(self.loss(log_params, log_tokens))

    def bill(self, log_params: Number, log_tokens: Number) -> Bill:
        """Return the bill."""
        params, tokens = jnp.exp(log_params), jnp.exp(log_tokens)
        bill = call_cost(self.cost, params, tokens, self.demand, **self.axes)
        if self.serves is True:
            return bill
        train, serve = jnp.asarray(bill.train), jnp.asarray(bill.serve)
        return Bill(train=train, serve=jnp.where(self.serves, serve, jnp.zeros_like(train)))

    def log_cost(self, log_params: Number, log_tokens: Number) -> jax.Array:
        """Return the logarithm of the total cost."""
        return log_large(jnp.asarray(self.bill(log_params, log_tokens).total))

    def breaks(self) -> tuple[Number, ...]:
        """Return the sizes at which the cost says that it jumps or bends."""
        if not isinstance(self.cost, Cost):
            return ()
        read = cost_axes(self.cost)
        names = self.axes if read.open else [x for x in read.names if x in self.axes]
        return tuple(self.cost.breaks(self.demand, **{x: self.axes[x] for x in names}))

    def power_sum(self) -> PowerSum | None:
        """Return the law as a sum of powers at these axes, if it is one."""
        return as_power_sum(self.law, self.axes)

    def with_axes(self, further: Mapping[str, Any]) -> "Scenario":
        """Return the scenario with further axes given."""
        return self._replace(axes={**self.axes, **further})

    def alone(self, loss: Number) -> "Scenario":
        """Return the question of the baseline: the same loss, trained as cheaply as can be."""
        q = self.query
        query = Query(loss=loss, max_params=q.max_params, max_tokens=q.max_tokens)
        return self._replace(query=query, serves=False)


def loss_of(law: Any, log_params: Number, log_tokens: Number, axes: Mapping) -> jax.Array:
    """Return the loss under any law from log N and log D."""
    if isinstance(law, Law):
        return jnp.asarray(law.loss_at_log(log_params, log_tokens, **law_axes_of(law, axes)))
    return call_law(law, jnp.exp(log_params), jnp.exp(log_tokens), **axes)


def as_power_sum(law: Any, axes: Mapping[str, Any]) -> PowerSum | None:
    """Return a law as a sum of powers at these axes; None where it is not one."""
    return law.as_power_sum(**law_axes_of(law, axes)) if isinstance(law, Law) else None


def law_axes_of(law: Law, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the axes that a law reads."""
    read = law_axes(law)
    return dict(axes) if read.open else {k: axes[k] for k in read.names if k in axes}
