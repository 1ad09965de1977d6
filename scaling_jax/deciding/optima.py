"""What is best in each sample, and what quality is worth there.

The price p of a goal (a loss l, or a budget K) is what the plan would save, at the margin, by
missing it by one unit: p = -dC*/dl at a loss, -dL*/dK at a budget. Where outcomes are not
convex, as with a step in the cost, missing the goal by much may save more than that, and then
p is raised to the steepest saving found; what is better than the goal earns the least that it
costs. So in every sample no model has an outcome below the plan's, J*, and regret is not
negative.

A sample without a plan has no such price: it is given the median price of those that have
one, and its J* is the outcome of the best compromise at this price.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.deciding.blocks import in_blocks
from scaling_jax.deciding.outcomes import Array, Question, Sample
from scaling_jax.deciding.scalar import host_loop, least
from scaling_jax.deciding.scenarios import Group
from scaling_jax.planning import Plan, plan
from scaling_jax.planning.matching import resolved
from scaling_jax.planning.records import Query
from scaling_jax.solve import Status

# How far from the goal, on both sides, prices are looked for, as shares of it.
_SIDE = [float(each) for each in np.geomspace(3e-3, 0.6, 4)]
SHARES = (*_SIDE, *(-each for each in _SIDE))
# The logs of the shares by which a compromise misses the goal.
_LEAST_MISS, _LARGEST_MISS = -14.0, 14.0
_POINTS, _LEVELS = 41, 20


class Optimum(NamedTuple):
    """What is best in each sample: its goal and plan, the outcome J*, and the two prices."""

    goal: Array
    plans: Plan
    best: Array
    over: Array
    under: Array


def goals(question: Question, group: Group) -> jax.Array:
    """Return the loss or the budget that each sample aims at."""
    shape = jnp.shape(jax.tree.leaves(group)[0])
    if question.match_params is None:
        goal = question.budget if question.loss is None else question.loss
        return jnp.full(shape, jnp.asarray(goal))
    match = {
        name: jnp.full(shape, value)
        for name, value in question._asdict().items()
        if name.startswith("match_") and value is not None
    }
    return jnp.asarray(resolved(group.law, Query(**match), group.axes).loss)


def planned(question: Question, group: Group, goal: Any) -> Plan:
    """Return the plan of every sample for a goal."""
    return plan(
        group.law,
        group.cost,
        group.demand,
        loss=None if question.at_budget else goal,
        budget=goal if question.at_budget else None,
        max_params=question.max_params,
        max_tokens=question.max_tokens,
        axes=group.axes,
    )


@jax.jit
def _goals(question: Question, group: Group) -> jax.Array:
    return goals(question, group)


# One compiled program for all that is asked of the planner: it may be a large one.
@jax.jit
def _planned(question: Question, group: Group, goal: jax.Array) -> Plan:
    return planned(question, group, goal)


def plans_of(question: Question, group: Group, goal: Any, size: int) -> Plan:
    """Return the plans of samples [n] for their goals, on the host, worked out in blocks."""
    return in_blocks(lambda each: _planned(question, *each), (group, goal), size)


def optimum(question: Question, group: Group, size: int, *, convex: bool) -> Optimum:
    """Return what is best in each of samples [n], on the host; NaN where it has no plan."""
    goal = in_blocks(lambda each: _goals(question, each), group, size)
    plans = plans_of(question, group, goal, size)
    near = [
        plans_of(question, group, goal * (1 + share), size)
        for share in ([] if convex else SHARES)
    ]
    with np.errstate(invalid="ignore"):
        return optimum_of(question, goal, plans, near)


def optimum_of(question: Question, goal: Any, plans: Plan, near: list[Plan]) -> Optimum:
    """Return what is best, and the prices, from the plans for the goal and those near it."""

    def objective(plan: Plan) -> Any:
        return question.exchange(plan.total_cost, plan.loss)[0]

    numpy = np if isinstance(goal, np.ndarray) else jnp
    best = objective(plans)
    over = -1 / plans.marginal_cost if question.at_budget else -plans.marginal_cost
    under = over
    for share, other in zip(SHARES, near, strict=False):
        price = (best - objective(other)) / (share * goal)
        if share > 0:
            over = numpy.fmax(over, price)
        else:
            under = numpy.fmin(under, price)
    return Optimum(goal, plans, best, over, under)


def compromise(
    question: Question, group: Group, goal: np.ndarray, over: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least outcomes of samples without a plan, and by how much they miss (log)."""

    def outcome(log_miss: Any) -> np.ndarray:
        miss = goal * np.exp(np.asarray(log_miss))
        found = plans_of(question, group, goal + miss, size)
        value = question.exchange(found.total_cost, found.loss)[0] + over * miss
        return np.where(np.isnan(value), np.inf, value)

    low, high = np.full_like(goal, _LEAST_MISS), np.full_like(goal, _LARGEST_MISS)
    log_miss, best = least(outcome, low, high, _POINTS, _LEVELS, loop=host_loop)
    return np.asarray(best), np.asarray(log_miss)


def feasible(plans: Plan) -> np.ndarray:
    """Return which samples have a plan.

    Raises:
        ValueError: inputs of a sample are outside their domains.
    """
    status = np.asarray(plans.status)
    invalid = int(np.sum(status == Status.INVALID))
    if invalid:
        raise ValueError(
            f"{invalid} of the {status.size} samples have an input outside its domain, or NaN"
        )
    return status == Status.CONVERGED


def assessed(
    question: Question, group: Group, found: Optimum, fallback: float, size: int
) -> Sample:
    """Return samples [n] as outcomes need them, on the host, worked on in blocks.

    Those without a plan are given the fallback price.
    """
    reached = found.plans.status == Status.CONVERGED
    over = np.where(reached & np.isfinite(found.over), found.over, fallback)
    under = np.where(np.isfinite(found.under), found.under, over)
    best, missed = np.array(found.best), np.flatnonzero(~reached)
    if missed.size:
        goal = np.asarray(found.goal)[missed]
        some = compromise(question, group.take(missed), goal, over[missed], size)
        best[missed] = some[0]
    return Sample(
        group=group, goal=found.goal, best=best, over=over, under=under, feasible=reached
    )
