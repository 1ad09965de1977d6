"""What is asked of the planner, and what it answers."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Literal

import jax

from scaling_jax._pytree import OptionalPositive, Record

Method = Literal["exact", "reduced", "general"]


class Query(Record):
    """The target and the limits of a plan; what is None is not asked for."""

    loss: OptionalPositive = None
    budget: OptionalPositive = None
    match_params: OptionalPositive = None
    match_tokens: OptionalPositive = None
    params: OptionalPositive = None
    tokens: OptionalPositive = None
    max_params: OptionalPositive = None
    max_tokens: OptionalPositive = None


class Limit(enum.IntEnum):
    """Which limit binds at the optimum: without it the plan would be a better one."""

    NONE = 0
    MAX_PARAMS = 1
    MAX_TOKENS = 2
    BOTH = 3


class PricedModel(Record):
    """A model, how it is trained, and what its life costs in the unit of the cost.

    `params` and `tokens` are counts, `loss` is in nats per token.
    """

    params: jax.Array
    tokens: jax.Array
    loss: jax.Array
    train_cost: jax.Array
    serve_cost: jax.Array

    @property
    def total_cost(self) -> jax.Array:
        """Training plus serving."""
        return self.train_cost + self.serve_cost

    @property
    def tokens_per_param(self) -> jax.Array:
        """D / N."""
        return self.tokens / self.params


class Plan(PricedModel):
    """The cheapest model for a quality and a demand, or the best for a budget.

    Attributes:
        baseline: the Chinchilla-style model of equal loss, the one that is cheapest to train
            within the same `max_params` and `max_tokens`, priced with the same demand, axes
            and choices; NaN where there is none.
        marginal_cost: d(total cost) / d(loss) at the optimum, negative: the price of
            quality. Minus infinity where no money buys any, as where both limits bind.
        limit: the `Limit` that binds, as an integer.
        status: the `Status`, as an integer; every number is NaN unless it is 0. Derivatives
            are NaN there too, except through `jnp.where(plan.status == 0, plan.x, 0.0)`, which
            sets the scenario aside.
        choices: the best values of `choices`, by name.
        method: the planner that was used: "exact", "reduced" or "general".
        warnings: sentences on where the plan lies outside of the ranges that its law states;
            of a single scenario outside of `jit` only.
    """

    baseline: PricedModel
    marginal_cost: jax.Array
    limit: jax.Array
    status: jax.Array
    choices: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)
    method: Method = dataclasses.field(default="exact", metadata={"static": True})

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on where the plan lies outside of what its law states."""
        return vars(self).get("_warnings", ())

    @property
    def params_ratio(self) -> jax.Array:
        """Parameters over those of the baseline."""
        return self.params / self.baseline.params

    @property
    def tokens_ratio(self) -> jax.Array:
        """Training tokens over those of the baseline."""
        return self.tokens / self.baseline.tokens

    @property
    def cost_ratio(self) -> jax.Array:
        """Total cost over that of the baseline."""
        return self.total_cost / self.baseline.total_cost

    @property
    def saving(self) -> jax.Array:
        """The share of the baseline's cost that the plan saves."""
        return 1 - self.cost_ratio


class PlanError(ValueError):
    """No model satisfies what was asked; the sentence says why."""
