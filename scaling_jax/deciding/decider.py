"""`decide`: which model to commit to when the law, the cost and the demand are uncertain."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling_jax._pytree import Number
from scaling_jax.deciding.information import (
    break_even,
    products,
    value_of_knowing,
)
from scaling_jax.deciding.problem import Problem, posed, with_plans
from scaling_jax.deciding.records import Commitment, Decision
from scaling_jax.deciding.risks import RISKS, Risk, central, median
from scaling_jax.deciding.search import Rows, Seeker
from scaling_jax.planning import PlanError

# To begin with, a model is sought this far, in log N and log D, around the optima.
_MARGIN = 0.5
# The optima of so many samples are tried where outcomes are not convex.
_EXTRA = 33


def decide(
    laws: Any,
    cost: Any,
    demands: Any,
    *,
    loss: Number | None = None,
    budget: Number | None = None,
    match_params: Number | None = None,
    match_tokens: Number | None = None,
    max_params: Number | None = None,
    max_tokens: Number | None = None,
    axes: Mapping[str, Any] | None = None,
    risk: str = "mean",
    level: float = 0.9,
    infeasible: str = "shortfall",
    paired: bool = True,
    seed: int = 0,
) -> Decision:
    """Return what to train when the law, the cost and the demand are uncertain.

    A model is chosen now, before samples s = (law, cost, demand, axes) are resolved, so as to
    minimise over x the

        mean    E_s J(x; s)
        cvar    mean of J over the worst 1 - level of the samples
        regret  max over s of J(x; s) - J*(s),  J* that of the plan optimal in s

    once with x = N and the tokens adapted when all is known, once with x = (N, D) for good.
    At a target loss l, J is the total cost C, plus p (L - l) where tokens are fixed: quality
    that is missing or in excess is priced at the marginal cost of quality, p = -dC*/dl, of
    that sample. At a budget K, J is the loss L, plus (C - K) / p where tokens are fixed.

    A sample in which no model reaches the target is a shortfall: J = C + p (L - l) in it
    too, adapted tokens being those that make J least, with p the median over the samples that
    have a plan. J* is the least J. In samples that have a plan adapted tokens reach the target.

    Where J is known to be convex in (log N, log D), as for our families of laws with a
    `LinearCost`, the best model is found by cutting planes, with a bound on how far it is from
    the best (`gap`). Elsewhere, and for any law and cost, it is looked for on a grid that grows
    and zooms in: kinks and steps are no obstacle, and no bound is given.

    Args:
        laws: a law, single or with stacked coefficients [n], as `fit(...).laws`; a `Sourced`,
            whose resampled laws are used; or, where the family is uncertain, a list of these,
            of (law, weight), or a `Mixture` of stacks. A function of (params, tokens) will do.
        cost: any cost, single or with any of its numbers stacked [n].
        demands: a `Demand`, single or stacked [n]; `log_normal` makes samples of one.
        loss: the target loss. Give this, `budget` or `match_params`.
        budget: the total cost to spend, in the unit of `cost`.
        match_params, match_tokens: the target is to be as good as a model of this size, on
            these tokens or else on those that are compute-optimal, law by law.
        max_params, max_tokens: the largest model, and the most data that there is.
        axes: name -> value, single or stacked [n], of further axes of the law or the cost.
        risk: `mean`, `cvar` or `regret`.
        level: of the CVaR, in [0, 1).
        infeasible: `shortfall`, or `drop` to leave samples without a plan out of every number
            but `reaches`; risks are then those of the samples in which all goes well.
        paired: stacks of one length are joint samples, and one source of uncertainty; if
            false, they are independent. A shorter stack is repeated evenly, in an order that
            the seed fixes, and is independent of the others. Families are joined with the
            rest one by one.
        seed: of the order in which stacks are repeated.

    Returns:
        A `Decision`; every outcome is compared on the same samples.

    Raises:
        ValueError: an argument is not as described.
        PlanError: no sample has a plan.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> from scaling_jax.deciding import log_normal
        >>> tokens = log_normal(2e12, 5, samples=1000)
        >>> choice = decide(laws.HOFFMANN_2022, Flops(), Demand.of_tokens(tokens), loss=1.947)
        >>> print(f"{choice.adaptive.params:.3g}, regret {choice.adaptive.regret_share:.2%}")
        2.24e+10, regret 1.86%
    """
    _check(risk, level, infeasible)
    asked = {
        "loss": loss,
        "budget": budget,
        "match_params": match_params,
        "match_tokens": match_tokens,
        "max_params": max_params,
        "max_tokens": max_tokens,
    }
    problem = posed(
        laws,
        cost,
        demands,
        axes or {},
        asked,
        seed=seed,
        paired=paired,
        drop=infeasible == "drop",
    )
    return _decision(problem, Risk(risk, level), infeasible)


def _check(risk: str, level: float, infeasible: str) -> None:
    if risk not in RISKS:
        raise ValueError(f"risk is {risk!r}; it must be one of {', '.join(RISKS)}")
    if not 0 <= level < 1:
        raise ValueError(f"level is {level:g}; it must be in [0, 1)")
    if infeasible not in ("shortfall", "drop"):
        raise ValueError(f"infeasible is {infeasible!r}; it must be shortfall or drop")


def _decision(problem: Problem, risk: Risk, infeasible: str) -> Decision:
    question, plans, weights = problem.pricing.question, problem.plans, problem.plan_weights
    rows = problem.rows
    optimal = {"params": plans.params, "tokens": plans.tokens}
    optimal |= {"loss": plans.loss} if question.at_budget else {"total_cost": plans.total_cost}
    expected = float((rows.best * rows.weights).sum())
    known = products(problem.kept, problem.pricing)
    adaptive, fixed = (
        _commit(problem, risk, expected, known, adaptive=adaptive) for adaptive in (True, False)
    )
    even = break_even(*with_plans(problem), problem.pricing)
    return Decision(
        plans=plans,
        samples=problem.samples,
        feasible=problem.feasible,
        feasible_share=problem.share,
        infeasible=infeasible,
        unit="nats"
        if question.at_budget
        else getattr(problem.drawn.given.cost, "unit", "units"),
        medians={name: median(np.asarray(each), weights) for name, each in optimal.items()},
        intervals={name: central(np.asarray(each), weights) for name, each in optimal.items()},
        expected_optimum=expected,
        adaptive=adaptive,
        fixed=fixed,
        break_even=central(*even),
        break_even_median=median(*even),
        risk=risk,
        problem=problem,
    )


def _seeker(problem: Problem, scale: float, *, adaptive: bool) -> Seeker:
    """Return the search that starts with the span of the samples' own optima."""
    plans, question = problem.plans, problem.pricing.question
    optima = np.stack([np.asarray(plans.params), np.asarray(plans.tokens)])
    # Logarithms are counted from an optimum, which with one sample is the answer, exactly.
    order = np.argsort(optima[0])
    reference = optima[:, order[len(order) // 2]]
    d = 1 if adaptive else 2
    logs = np.log(optima / reference[:, None])[:d]
    limits = [question.max_params, question.max_tokens][:d]
    cap = np.array(
        [
            np.inf if limit is None else np.log(limit / each)
            for limit, each in zip(limits, reference[:d], strict=True)
        ]
    )
    # Where each has a plan, the best size is among theirs; and one that all share is it.
    within = all(part.reached for part in problem.parts) and (adaptive or not logs.any())
    margin = 0.0 if within else _MARGIN
    some = order[np.linspace(0, len(order) - 1, min(_EXTRA, len(order))).astype(int)]
    return Seeker(
        adaptive=adaptive,
        convex=problem.pricing.convex,
        question=question,
        reference=reference,
        low=logs.min(axis=1) - margin,
        high=logs.max(axis=1) + margin,
        cap=cap,
        tolerance=abs(scale) * float(np.finfo(reference.dtype).eps) ** 0.75,
        extra=logs[:, some].T,
    )


def _commit(
    problem: Problem,
    risk: Risk,
    scale: float,
    known: dict[str, list[Rows]],
    *,
    adaptive: bool,
) -> Commitment:
    """Return the model of least risk, and what comes of it in every sample."""
    rows, question = problem.rows, problem.pricing.question
    seeker = _seeker(problem, scale, adaptive=adaptive)
    (found,) = seeker.least(rows, risk)
    if not np.isfinite(found.value):
        raise PlanError(
            "no one model has an outcome in every sample, so that none can be committed to; "
            "relax a limit, or look at the samples' own plans"
        )
    settled, value = seeker.settled(found, rows, risk)
    outcome, tokens, loss, cost = (each[0] for each in settled.detail(settled.low[None], rows))
    best, weights = rows.best[0], rows.weights[0]
    regret = np.maximum(outcome - best, 0)  # below it only by rounding
    resource = question.exchange(cost, loss)[1]
    slack = float(np.finfo(outcome.dtype).eps) ** 0.75
    reached = float((weights * (resource <= rows.goal[0] * (1 + slack))).sum())
    expected_regret = float((regret * weights).sum())
    return Commitment(
        params=float(settled.reference[0]),
        tokens=median(tokens, weights),
        tokens_interval=central(tokens, weights),
        loss_interval=central(loss, weights),
        cost_interval=central(cost, weights),
        # What was dropped is not reached either.
        reaches=reached * problem.share if problem.dropped else reached,
        risk=value,
        certificate="convex" if seeker.convex else "grid",
        gap=found.gap,
        expected=float((outcome * weights).sum()),
        regret=expected_regret,
        regret_share=expected_regret / scale,
        worst_regret=float(regret.max()),
        value_of={name: value_of_knowing(seeker, blocks) for name, blocks in known.items()},
    )
