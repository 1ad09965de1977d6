"""`decide`: which model to commit to when the law, the cost and the demand are uncertain."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Number
from scaling_jax.costs import LinearCost
from scaling_jax.deciding.cutting import minimise
from scaling_jax.deciding.information import (
    Chooser,
    break_even,
    plan_each,
    values_of_knowing,
)
from scaling_jax.deciding.outcomes import RISKS, Samples, Target, samples_of
from scaling_jax.deciding.records import Commitment, Decision, Interval
from scaling_jax.deciding.samples import Joint, joint
from scaling_jax.laws import PowerSum
from scaling_jax.planning import Plan, PlanError
from scaling_jax.solve import Status

# To begin with, a fixed model is sought this far, in log N and log D, around the optima.
_MARGIN = 0.5


def decide(
    laws: Any,
    cost: Any,
    demands: Any,
    *,
    loss: Number | None = None,
    budget: Number | None = None,
    risk: str = "mean",
    level: float = 0.9,
    seed: int = 0,
) -> Decision:
    """Return what to train when the law, the cost and the demand are uncertain.

    A model is chosen now, before samples s = (law, cost, demand) are resolved, so as to
    minimise over x the

        mean    E_s J(x; s)
        cvar    mean of J over the worst 1 - level of the samples
        regret  max over s of J(x; s) - J*(s),  J* that of the plan optimal in s

    once with x = N and the tokens adapted when all is known, once with x = (N, D) for good.
    At a target loss l, J is the total cost C, plus p (L - l) where tokens are fixed: quality
    that is missing or in excess is priced at the marginal cost of quality, p = -dC*/dl, of
    that sample. At a budget K, J is the loss L, plus (C - K) / p where tokens are fixed.
    J is convex in (log N, log D), so the best model is found by cutting planes, from
    gradients through the planner, with a bound on how far it is from the best (`gap`).

    Args:
        laws: a `PowerSum` law, single or with stacked coefficients [n], as `fit(...).laws`.
        cost: a `LinearCost`, single or with any of its numbers stacked [n].
        demands: a `Demand`, single or stacked [n]; `log_normal` makes samples of one. Stacks
            of one length are paired: they are joint samples. A shorter stack is repeated
            evenly, in an order that the seed fixes.
        loss: the target loss. Give this or `budget`.
        budget: the total cost to spend, in the unit of `cost`.
        risk: `mean`, `cvar` or `regret`.
        level: of the CVaR, in [0, 1).
        seed: of the order in which shorter stacks are repeated.

    Returns:
        A `Decision`; every outcome is compared on the same samples. Samples without a plan
        (a law that never reaches the loss) are counted and left out.

    Raises:
        ValueError: an argument is not as described.
        PlanError: no sample has a plan.

    Source of CVaR: Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk".

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> from scaling_jax.deciding import log_normal
        >>> tokens = log_normal(2e12, 5, samples=1000)
        >>> choice = decide(laws.HOFFMANN_2022, Flops(), Demand.of_tokens(tokens), loss=1.947)
        >>> print(f"{choice.adaptive.params:.3g}, regret {choice.adaptive.regret_share:.2%}")
        2.24e+10, regret 1.86%
    """
    _check(laws, cost, risk, level)
    target = Target(*(None if each is None else float(each) for each in (loss, budget)))
    drawn = joint(laws, cost, demands, seed)
    if drawn.size == 1:  # refused, where it has to be, with the planner's own sentence
        plan_each(jax.tree.map(lambda leaf: leaf[0], drawn._replace(uncertain=())), target)
    count = drawn.size
    drawn, plans = _feasible(drawn, plan_each(drawn, target), target)
    samples = samples_of(drawn, plans, target)
    optimum = float(jnp.mean(samples.best))
    tolerance = optimum * float(jnp.finfo(samples.best.dtype).eps) ** 0.75
    adaptive, fixed = (
        _commit(
            _chooser(plans, target, tolerance, adaptive=adaptive), drawn, samples, risk, level
        )
        for adaptive in (True, False)
    )
    optimal = {"params": plans.params, "tokens": plans.tokens}
    optimal |= {"loss": plans.loss} if loss is None else {"total_cost": plans.total_cost}
    even = break_even(drawn, target)
    return Decision(
        plans=plans,
        samples=count,
        feasible=drawn.size,
        unit="nats" if loss is None else cost.unit,
        medians={name: _median(each) for name, each in optimal.items()},
        intervals={name: _central(each) for name, each in optimal.items()},
        expected_optimum=optimum,
        adaptive=adaptive,
        fixed=fixed,
        break_even=_central(even),
        break_even_median=_median(even),
    )


def _check(laws: Any, cost: Any, risk: str, level: float) -> None:
    if not (isinstance(laws, PowerSum) and isinstance(cost, LinearCost)):
        raise ValueError(
            "decide needs a PowerSum law and a LinearCost, which make outcomes convex; it was "
            f"given {type(laws).__name__} and {type(cost).__name__}"
        )
    if risk not in RISKS:
        raise ValueError(f"risk is {risk!r}; it must be one of {', '.join(RISKS)}")
    if not 0 <= level < 1:
        raise ValueError(f"level is {level:g}; it must be in [0, 1)")


def _feasible(drawn: Joint, plans: Plan, target: Target) -> tuple[Joint, Plan]:
    """Return the samples that have a plan."""
    status = np.broadcast_to(np.asarray(plans.status), drawn.size)
    invalid = int(np.sum(status == Status.INVALID))
    if invalid:
        raise ValueError(
            f"{invalid} of the {drawn.size} samples have an input outside its domain, or NaN"
        )
    kept = np.flatnonzero(status == Status.CONVERGED)
    if not kept.size:
        name = "loss" if target.budget is None else "budget"
        value = float(getattr(target, name))
        raise PlanError(f"none of the {drawn.size} samples has a plan for {name} {value:g}")
    plans = jax.tree.map(
        lambda leaf: np.broadcast_to(np.asarray(leaf), drawn.size)[kept], plans
    )
    return drawn.take(kept), plans


def _chooser(plans: Plan, target: Target, tolerance: float, *, adaptive: bool) -> Chooser:
    """Return the search that starts with the span of the samples' own optima."""
    optima = np.stack([plans.params, plans.tokens])
    # Logarithms are counted from an optimum, which with one sample is the answer, exactly.
    reference = optima[:, np.argsort(optima[0])[optima.shape[1] // 2]]
    logs = np.log(optima / reference[:, None])[: 1 if adaptive else 2]
    margin = 0.0 if adaptive else _MARGIN
    low, high = logs.min(axis=1) - margin, logs.max(axis=1) + margin
    return Chooser(adaptive, target, reference, low, high, tolerance)


def _commit(
    chooser: Chooser, drawn: Joint, samples: Samples, risk: str, level: float
) -> Commitment:
    """Return the model of least risk, and what comes of it in every sample."""
    rows = jax.tree.map(lambda leaf: leaf[None], samples)
    (search,) = minimise(
        lambda x: chooser.risk(x, rows, risk, level),
        chooser.low[None],
        chooser.high[None],
        chooser.tolerance,
    )
    outcome, tokens, loss, cost = (each[0] for each in chooser.detail(search.x[None], rows)[1])
    best, target = np.asarray(rows.best)[0], chooser.target
    regret = np.maximum(outcome - best, 0)  # below it only by rounding
    reached, wanted = (loss, target.loss) if target.budget is None else (cost, target.budget)
    slack = float(np.finfo(outcome.dtype).eps) ** 0.75
    return Commitment(
        params=float(chooser.reference[0] * np.exp(search.x[0])),
        tokens=_median(tokens),
        tokens_interval=_central(tokens),
        loss_interval=_central(loss),
        cost_interval=_central(cost),
        reaches=float(np.mean(reached <= wanted * (1 + slack))),
        risk=float(search.value),
        gap=float(search.gap),
        expected=float(outcome.mean()),
        regret=float(regret.mean()),
        regret_share=float(regret.mean() / best.mean()),
        worst_regret=float(regret.max()),
        value_of=values_of_knowing(chooser, drawn),
    )


# Quantiles are values of the sample, so that infinite ones do no harm.
def _central(values: Any) -> Interval:
    """Return the central 95 %."""
    low, high = np.quantile(np.asarray(values), (0.025, 0.975), method="nearest")
    return float(low), float(high)


def _median(values: Any) -> float:
    return float(np.quantile(np.asarray(values), 0.5, method="nearest"))
