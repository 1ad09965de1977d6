"""What `decide` returns."""

import dataclasses
from typing import Any

from scaling_jax.deciding.risks import Interval, Risk
from scaling_jax.planning import Plan

# The share of the expected outcome below which nothing is worth finding out.
_NEGLIGIBLE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Commitment:
    """One model chosen before the uncertainty is resolved, and what comes of it.

    Costs are in the unit of the decision: that of the cost, or nats for a budget.

    Attributes:
        params: its size.
        tokens: its training tokens; the median, where they are adapted.
        tokens_interval: the central 95 % of the tokens.
        loss_interval: the central 95 % of the loss.
        cost_interval: the central 95 % of the total cost, in the unit of the cost.
        reaches: the share of all samples, those without a plan included, in which the model
            reaches the target loss (or stays within the budget), to rounding.
        risk: what was minimised: expected outcome, CVaR or largest regret.
        certificate: `convex` where outcomes are known to be convex, so that no model is
            better than this one by more than `gap`; `grid` where the best was looked for on
            a grid that zooms in.
        gap: how far, at most, the risk is above its minimum; None where that is not known.
        expected: the expected outcome, what is missing of the target priced as `decide` says.
        regret: the expected regret: what is paid for having to choose now.
        regret_share: the same as a share of the expected outcome of the optimal plans.
        worst_regret: the largest regret.
        value_of: source -> what knowing it before choosing lowers the expected outcome by,
            were that minimised; an estimate from up to 48 x 192 of the samples of a family
            (24 x 64 where outcomes are not known to be convex). Sources that are
            paired are one, such as `law and demand`.
    """

    params: float
    tokens: float
    tokens_interval: Interval
    loss_interval: Interval
    cost_interval: Interval
    reaches: float
    risk: float
    certificate: str
    gap: float | None
    expected: float
    regret: float
    regret_share: float
    worst_regret: float
    value_of: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """The distribution of optimal plans, the models to commit to, and what to find out.

    Attributes:
        plans: the optimal plan of each sample that has one, stacked [feasible].
        samples: the number of joint samples.
        feasible: how many of them have a plan.
        feasible_share: the share of the weight that they have.
        infeasible: what became of the others: a `shortfall`, or `drop`.
        unit: of outcomes: the unit of the cost, or `nats` for a budget.
        medians, intervals: of the optimal params, tokens and total cost (for a budget, loss):
            the median, and the central 95 %, over the samples that have a plan.
        expected_optimum: the expected outcome of the best models, were all known.
        adaptive: fixed size, tokens adapted once the law is known.
        fixed: fixed size and tokens.
        break_even: the central 95 % of the demand, in tokens, below which the baseline costs
            at most 1 % more than the plan; infinite where it always does.
        break_even_median: its median.
        risk: which risk was minimised, with its level.
        problem: what was decided, for `risk_gradient`.
    """

    plans: Plan
    samples: int
    feasible: int
    feasible_share: float
    infeasible: str
    unit: str
    medians: dict[str, float]
    intervals: dict[str, Interval]
    expected_optimum: float
    adaptive: Commitment
    fixed: Commitment
    break_even: Interval
    break_even_median: float
    risk: Risk
    problem: Any = dataclasses.field(repr=False)

    @property
    def advice(self) -> str:
        """One sentence that says what is most worth finding out."""
        values = self.adaptive.value_of
        if not values:
            return "Nothing is uncertain: the plan is the decision."
        name = max(values, key=lambda source: values[source])
        share = values[name] / abs(self.expected_optimum)
        amount = f"{values[name]:.3g} {self.unit}"
        if self.unit == "dollars":
            amount = f"${values[name]:,.0f}"
        if share < _NEGLIGIBLE:
            return (
                f"Nothing is worth finding out before choosing the size: even the {name}, the "
                f"most useful to know, would save only {amount} on average ({share:.2g})."
            )
        return (
            f"Most worth finding out is the {name}: knowing it before choosing the size would "
            f"save {amount} on average, {share:.2%} of what the best plans come to."
        )
