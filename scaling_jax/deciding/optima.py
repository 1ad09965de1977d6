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
from scaling_jax.deciding.outcomes import Question, Sample
from scaling_jax.deciding.scalar import least
from scaling_jax.deciding.scenarios import Group
from scaling_jax.planning import Plan, plan
from scaling_jax.planning.matching import resolved
from scaling_jax.planning.records import Query
from scaling_jax.solve import Status

# How far from the goal prices are looked for, as shares of it.
_CHORDS = tuple(float(each) for each in np.geomspace(1e-3, 0.6, 8))
# The logs of the shares by which a compromise misses the goal.
_LEAST_MISS, _LARGEST_MISS = -14.0, 14.0
_POINTS, _SECTIONS = 41, 36


class Optimum(NamedTuple):
    """What is best in each sample: its goal and plan, the outcome J*, and the two prices."""

    goal: jax.Array
    plans: Plan
    best: jax.Array
    over: jax.Array
    under: jax.Array


def goals(question: Question, group: Group) -> jax.Array:
    """Return the loss or the budget that each sample aims at."""
    shape = jnp.shape(jax.tree.leaves(group)[0])
    if question.match_params is None:
        return jnp.full(shape, question.budget if question.loss is None else question.loss)
    match = {
        name: jnp.full(shape, value)
        for name, value in question._asdict().items()
        if name.startswith("match_") and value is not None
    }
    return jnp.asarray(resolved(group.law, Query(**match), group.axes).loss)


def planned(question: Question, group: Group, goal: Any) -> Plan:
    """Return the plan of every sample for a goal."""
    target = {"budget" if question.at_budget else "loss": goal}
    limits = {"max_params": question.max_params, "max_tokens": question.max_tokens}
    return plan(group.law, group.cost, group.demand, **target, **limits, axes=group.axes)


@jax.jit(static_argnames="convex")
def optimum(question: Question, group: Group, *, convex: bool) -> Optimum:
    """Return what is best in each sample; NaN where it has no plan."""
    goal = goals(question, group)
    plans = planned(question, group, goal)
    slope = plans.marginal_cost
    best, price = question.exchange(plans.total_cost, plans.loss)[0], -slope
    if question.at_budget:
        price = -1 / slope
    if convex:
        return Optimum(goal, plans, best, price, price)
    return Optimum(goal, plans, best, *_supporting(question, group, goal, best, price))


def _supporting(
    question: Question, group: Group, goal: jax.Array, best: jax.Array, price: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the prices at which neither missing the goal nor beating it pays."""
    over = under = price
    for share in _CHORDS:
        more, less = (
            question.exchange(each.total_cost, each.loss)[0]
            for each in (planned(question, group, goal * f) for f in (1 + share, 1 - share))
        )
        over = jnp.fmax(over, (best - more) / (share * goal))
        under = jnp.fmin(under, (less - best) / (share * goal))
    return over, under


@jax.jit
def compromise(question: Question, group: Group, goal: jax.Array, over: jax.Array) -> jax.Array:
    """Return the least of O*(q) + p (q - goal) over q > goal, O* the objective of a plan."""

    def outcome(log_miss: jax.Array, group: Group, goal: Any, over: Any) -> jax.Array:
        miss = goal * jnp.exp(log_miss)
        found = planned(question, group, goal + miss)
        value = question.exchange(found.total_cost, found.loss)[0] + over * miss
        return jnp.where(jnp.isnan(value), jnp.inf, value)

    held = jax.lax.stop_gradient((group, goal, over))
    low, high = jnp.full_like(goal, _LEAST_MISS), jnp.full_like(goal, _LARGEST_MISS)
    log_miss, _ = least(lambda x: outcome(x, *held), low, high, _POINTS, _SECTIONS)
    return outcome(jax.lax.stop_gradient(log_miss), group, goal, over)


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
        some = jax.tree.map(lambda leaf: leaf[missed], (group, found.goal, over))
        best[missed] = in_blocks(lambda each: compromise(question, *each), some, size)
    return Sample(
        group=group, goal=found.goal, best=best, over=over, under=under, feasible=reached
    )
