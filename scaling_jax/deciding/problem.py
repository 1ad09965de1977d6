"""What is to be decided: the samples with their plans and prices, ready for a search."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._axes import check_axes
from scaling_jax.deciding.blocks import block_size
from scaling_jax.deciding.convexity import outcomes_are_convex
from scaling_jax.deciding.information import Pricing, largest_product
from scaling_jax.deciding.optima import (
    Optimum,
    feasible,
    goals,
    planned,
)
from scaling_jax.deciding.outcomes import Question
from scaling_jax.deciding.risks import median
from scaling_jax.deciding.scenarios import Group, Scenarios, scenarios
from scaling_jax.deciding.search import Rows, Stack
from scaling_jax.planning import Plan, PlanError

_TARGETS = ("loss", "budget", "match_params")
# Plans in a block where they are no closed form.
_PLANS = 512


class Part(NamedTuple):
    """Those samples of a family that have a plan, or those that have none."""

    family: int
    members: np.ndarray
    reached: bool


class Problem(NamedTuple):
    """Samples, and what is best in each.

    Attributes:
        drawn: the joint samples.
        kept: those that count: without those that are dropped.
        pricing: the question, and how outcomes are priced.
        typical: the family and the sample that have the median price.
        parts: which samples stand where in `rows`.
        rows: the samples in one row.
        plans: the plans of those that have one.
        plan_weights: their weights, of sum 1.
        samples, feasible, share: how many samples there were, how many have a plan, and
            the share of the weight that these have.
        dropped: whether the others are left out.
    """

    drawn: Scenarios
    kept: Scenarios
    pricing: Pricing
    typical: tuple[int, int] | None
    parts: list[Part]
    rows: Rows
    plans: Plan
    plan_weights: np.ndarray
    samples: int
    feasible: int
    share: float
    dropped: bool


def posed(
    laws: Any,
    cost: Any,
    demands: Any,
    axes: Mapping[str, Any],
    asked: dict[str, Any],
    *,
    seed: int,
    paired: bool,
    drop: bool,
) -> Problem:
    """Return the problem; the arguments are those of `decide`."""
    question = _question(asked)
    drawn = scenarios(laws, cost, demands, axes, seed, paired=paired)
    for law in drawn.given.laws:
        check_axes(law, drawn.given.cost, axes)
    groups = drawn.groups()
    if drawn.size == 1:  # refused, where it has to be, with the planner's own sentence
        single = groups[0].take(0)
        planned(question, single, goals(question, single))
    convex = outcomes_are_convex(drawn.given.laws, drawn.given.cost)
    pricing = Pricing(question, convex, 0.0, _size(drawn, convex=convex))
    found = [pricing.optimum(group) for group in groups]
    reached = [feasible(each.plans) for each in found]
    if not any(each.any() for each in reached):
        raise PlanError(f"none of the {drawn.size} samples has a plan for {_target(question)}")
    weights = np.concatenate([w[r] for w, r in zip(drawn.weights, reached, strict=True)])
    price, typical = _typical(found, drawn)
    pricing = pricing._replace(fallback=price)
    parts = _parts(reached, drop=drop)
    rows = _rows(pricing, groups, found, parts, drawn.weights)
    return Problem(
        drawn=drawn,
        kept=_only(drawn, reached) if drop else drawn,
        pricing=pricing,
        typical=typical,
        parts=parts,
        rows=rows,
        plans=_plans(found, reached),
        plan_weights=weights / weights.sum(),
        samples=drawn.size,
        feasible=len(weights),
        share=float(weights.sum()),
        dropped=drop,
    )


def with_plans(problem: Problem) -> tuple[list[Group], list[np.ndarray]]:
    """Return the samples that have a plan, by family, and their weights."""
    drawn, parts = problem.drawn, [part for part in problem.parts if part.reached]
    groups = drawn.groups()
    return (
        [groups[part.family].take(part.members) for part in parts],
        [drawn.weights[part.family][part.members] for part in parts],
    )


def _question(asked: dict[str, Any]) -> Question:
    given = {name: float(value) for name, value in asked.items() if value is not None}
    targets = [name for name in _TARGETS if name in given]
    if not targets:
        raise ValueError("decide needs a target: give loss or budget, or match_params")
    if len(targets) > 1:
        raise ValueError(
            f"{' and '.join(targets)} are both given; decide takes exactly one of them"
        )
    if "match_tokens" in given and "match_params" not in given:
        raise ValueError("match_tokens is given without match_params; give both")
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value:g}; it must be positive and finite")
    return Question(**given)


def _target(question: Question) -> str:
    name = next(each for each in _TARGETS if getattr(question, each) is not None)
    return f"{name} {getattr(question, name):g}"


def _typical(found: list[Optimum], drawn: Scenarios) -> tuple[float, tuple[int, int] | None]:
    """Return the median price, and the family and sample that have it."""
    at = np.array([(i, j) for i, w in enumerate(drawn.weights) for j in range(len(w))])
    prices = np.concatenate([np.where(np.isfinite(e.over), e.over, np.nan) for e in found])
    priced = np.flatnonzero(np.isfinite(prices))
    if not priced.size:
        return 0.0, None
    weights = np.concatenate(drawn.weights)[priced]
    price = median(prices[priced], weights)
    family, index = at[priced[np.argmax(prices[priced] == price)]]
    return price, (int(family), int(index))


def _parts(reached: list[np.ndarray], *, drop: bool) -> list[Part]:
    parts = []
    for family, each in enumerate(reached):
        parts.append(Part(family, np.flatnonzero(each), True))
        if not drop:
            parts.append(Part(family, np.flatnonzero(~each), False))
    return [part for part in parts if part.members.size]


def _rows(
    pricing: Pricing,
    groups: list[Group],
    found: list[Optimum],
    parts: list[Part],
    weights: tuple[np.ndarray, ...],
) -> Rows:
    """Return the parts of all families in one row."""
    stacks = []
    for family, index, _ in parts:
        group, best = jax.tree.map(
            lambda leaf, index=index: leaf[index], (groups[family], found[family])
        )
        sample = pricing.assessed(group, best)
        stacks.append(Stack.of(sample, 1, pricing.size_of(sample)))
    share = np.concatenate([weights[part.family][part.members] for part in parts])[None]
    return Rows.of(stacks, share / share.sum())


def _size(drawn: Scenarios, *, convex: bool) -> int:
    """Return the size of the blocks: as few of them as can be, unless plans take long."""
    largest = max(largest_product(drawn, convex=convex), *map(len, drawn.weights))
    return block_size(largest if convex else min(largest, _PLANS))


def _plans(found: list[Optimum], reached: list[np.ndarray]) -> Plan:
    kept = [
        jax.tree.map(lambda leaf, r=r: np.asarray(leaf)[r], each.plans)
        for each, r in zip(found, reached, strict=True)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *kept)


def _only(drawn: Scenarios, reached: list[np.ndarray]) -> Scenarios:
    """Return the samples that have a plan."""
    kept = [i for i, each in enumerate(reached) if each.any()]
    total = sum(float(drawn.weights[i][reached[i]].sum()) for i in kept)
    orders = tuple(
        {name: order[reached[i]] for name, order in drawn.orders[i].items()} for i in kept
    )
    weights = tuple(drawn.weights[i][reached[i]] / total for i in kept)
    given = drawn.given._replace(laws=tuple(drawn.given.laws[i] for i in kept))
    return Scenarios(given, orders, weights, drawn.uncertain)
