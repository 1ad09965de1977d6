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

# How far from the goal, on both sides, prices are looked for, as shares of it.
_CHORDS = tuple(float(each) for each in np.geomspace(3e-3, 0.6, 6))
# The logs of the shares by which a compromise misses the goal.
_LEAST_MISS, _LARGEST_MISS = -14.0, 14.0
_POINTS, _LEVELS = 41, 20


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
    if convex:
        plans = planned(question, group, goal)
    else:  # one program for the goal and all that is near it
        shares = jnp.asarray([0.0, *_CHORDS, *(-each for each in _CHORDS)], goal.dtype)
        near = jax.lax.map(lambda share: planned(question, group, goal * (1 + share)), shares)
        plans = jax.tree.map(lambda leaf: leaf[0], near)
    best = question.exchange(plans.total_cost, plans.loss)[0]
    price = -1 / plans.marginal_cost if question.at_budget else -plans.marginal_cost
    over = under = price
    if not convex:
        others = question.exchange(near.total_cost, near.loss)[0]
        for i, share in enumerate(_CHORDS, start=1):
            more, less = others[i], others[i + len(_CHORDS)]
            over = jnp.fmax(over, (best - more) / (share * goal))
            under = jnp.fmin(under, (less - best) / (share * goal))
    return Optimum(goal, plans, best, over, under)


@jax.jit
def compromise(
    question: Question, group: Group, goal: jax.Array, over: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the least outcome of a sample without a plan, and by how much it misses (log)."""

    def outcome(log_miss: jax.Array) -> jax.Array:
        value = missing_by(log_miss, question, group, goal, over)
        return jnp.where(jnp.isnan(value), jnp.inf, value)

    low, high = jnp.full_like(goal, _LEAST_MISS), jnp.full_like(goal, _LARGEST_MISS)
    log_miss, best = least(outcome, low, high, _POINTS, _LEVELS)
    return best, log_miss


def missing_by(
    log_miss: jax.Array, question: Question, group: Group, goal: jax.Array, over: jax.Array
) -> jax.Array:
    """Return O*(q) + p (q - goal) at q = goal (1 + e^z), O* the objective of a plan."""
    miss = goal * jnp.exp(log_miss)
    found = planned(question, group, goal + miss)
    return question.exchange(found.total_cost, found.loss)[0] + over * miss


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
        best[missed] = in_blocks(lambda each: compromise(question, *each)[0], some, size)
    return Sample(
        group=group, goal=found.goal, best=best, over=over, under=under, feasible=reached
    )
