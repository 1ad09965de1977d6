"""What it is worth to know one source of uncertainty, and where demand begins to matter.

The value of knowing a source s, the other sources t staying unknown, is

    min over x of E_s E_t J(x; s, t)  -  E_s min over x of E_t J(x; s, t)  >=  0,

both on one product of m values of s with n' samples of t. Sources whose stacks are paired are
drawn together, and are one source; others are taken as independent of one another.
"""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from scaling_jax.costs import Demand
from scaling_jax.deciding.blocks import block_size
from scaling_jax.deciding.optima import Optimum, assessed, feasible, goals, optimum, plans_of
from scaling_jax.deciding.outcomes import Question, Sample
from scaling_jax.deciding.risks import MEAN
from scaling_jax.deciding.scenarios import Group, Orders, Scenarios
from scaling_jax.deciding.search import Rows, Seeker, Stack

# Values of a source, and samples of the others, where outcomes are convex, and elsewhere.
_PRODUCT = {True: (48, 192), False: (24, 64)}
_MOST_RANKED = 4096
_MAX_BREAK_EVENS = {True: 1000, False: 200}
_LEAST_SAVING = 0.01
_BISECTIONS = 45
# The size of blocks of samples that take many plans each.
_FEW = 2**10


class Pricing(NamedTuple):
    """How outcomes are priced, and the size of the blocks in which they are worked out."""

    question: Question
    convex: bool
    fallback: float
    size: int

    def optimum(self, group: Group) -> Optimum:
        """Return what is best in each of the samples."""
        return optimum(self.question, group, self.size, convex=self.convex)

    def assessed(self, group: Group, found: Optimum) -> Sample:
        """Return samples as outcomes need them."""
        return assessed(self.question, group, found, self.fallback, min(self.size, _FEW))

    def stacks(self, group: Group) -> list[tuple[Stack, np.ndarray]]:
        """Return samples of leaves [m, n] by column: those that all have a plan, and others.

        Each comes with the columns that it holds.
        """
        shape = np.shape(jax.tree.leaves(group)[0])
        flat = jax.tree.map(np.ravel, group)
        sample = self.assessed(flat, self.optimum(flat))
        square = jax.tree.map(lambda leaf: leaf.reshape(shape), sample)
        reached = square.feasible.all(axis=0)
        parts = [
            columns for columns in map(np.flatnonzero, (reached, ~reached)) if columns.size
        ]
        found = []
        for columns in parts:
            part = jax.tree.map(lambda leaf, at=columns: leaf[:, at].ravel(), square)
            found.append((Stack.of(part, shape[0], self.size_of(part)), columns))
        return found

    def size_of(self, sample: Sample) -> int:
        """Return the size of the blocks of samples.

        A grid looks at so many models that nothing may be wasted on filling blocks up.
        """
        return self.size if self.convex else block_size(len(sample.best))


def largest_product(drawn: Scenarios, *, convex: bool) -> int:
    """Return how many samples of one family a product has, at most."""
    size = max(map(len, drawn.weights))
    outer, inner = _PRODUCT[convex]
    return min(size, outer) * min(size, inner) if drawn.uncertain else 1


def products(drawn: Scenarios, pricing: Pricing) -> dict[str, list[Rows]]:
    """Return, for each uncertain source, its product with the others.

    A row holds one value of the source. The values of a law are in blocks, one a family.
    """
    return {
        " and ".join(source): list(_product(drawn, pricing, source))
        for source in drawn.uncertain
    }


def _product(drawn: Scenarios, pricing: Pricing, source: tuple[str, ...]) -> list[Rows]:
    """Return the blocks of a product; their weights sum to 1 over all of them."""
    every = range(len(drawn.orders))
    if "law" not in source:
        values = _ranked(drawn, pricing, source, 0)
        return [_block(drawn, pricing, source, list(every), values)]
    blocks = []
    for family in every:
        values = _ranked(drawn, pricing, source, family)
        first = _orders(drawn, source, family, values, np.zeros(1, int))
        group = drawn.given.group(family, {name: np.ravel(x) for name, x in first.items()})
        reached = feasible(pricing.optimum(group).plans)
        share = 1 / len(values)
        for some in (values[reached], values[~reached]):
            if some.size:
                rows = _block(drawn, pricing, source, [family], some)
                blocks.append(rows._replace(weights=rows.weights * len(some) * share))
    return blocks


def _block(
    drawn: Scenarios,
    pricing: Pricing,
    source: tuple[str, ...],
    members: list[int],
    values: np.ndarray,
) -> Rows:
    """Return rows of one value of the source each, and columns of the rest, by family."""
    stacks, weights = [], []
    for family in members:
        columns = _middles(len(drawn.weights[family]), _PRODUCT[pricing.convex][1])
        orders = _orders(drawn, source, family, values, columns)
        share = float(drawn.weights[family].sum()) / (len(columns) * len(values))
        for stack, held in pricing.stacks(drawn.given.group(family, orders)):
            stacks.append(stack)
            weights.append(np.full((len(values), len(held)), share))
    return Rows.of(stacks, np.concatenate(weights, axis=1))


def _orders(
    drawn: Scenarios,
    source: tuple[str, ...],
    family: int,
    values: np.ndarray,
    columns: np.ndarray,
) -> Orders:
    """Return the elements [m, n] of a product: of the source by row, of the rest by column."""
    shape = len(values), len(columns)
    rows = values[:, None]
    orders = {}
    for name, order in drawn.orders[family].items():
        if name in source:
            at = order[rows] if "law" in source else rows
        else:
            at = order[columns][None, :]
        orders[name] = np.broadcast_to(at, shape)
    return orders


def _ranked(
    drawn: Scenarios, pricing: Pricing, source: tuple[str, ...], family: int
) -> np.ndarray:
    """Return the middles of strata of a source, ordered by the plans that it leads to.

    With a law in it a value is a joint sample of the family, else an element of its stack.
    """
    order = drawn.orders[family][source[0]]
    values = np.arange(len(order)) if "law" in source else np.unique(order)
    if len(set(order.tolist())) == 1:
        values = values[:1]
    count = _PRODUCT[pricing.convex][0]
    if len(values) <= count:
        return values
    values = values[_middles(len(values), _MOST_RANKED)]
    first = np.zeros(1, int)
    orders = {
        name: np.ravel(each)
        for name, each in _orders(drawn, source, family, values, first).items()
    }
    plans = pricing.optimum(drawn.given.group(family, orders)).plans
    ranked = np.argsort(plans.total_cost / plans.loss, kind="stable")
    return values[ranked[_middles(len(values), count)]]


def _middles(size: int, count: int) -> np.ndarray:
    """Return at most `count` equally spaced indices: all, or the middles of strata."""
    count = min(size, count)
    return ((np.arange(count) + 0.5) * size / count).astype(int)


def value_of_knowing(seeker: Seeker, blocks: list[Rows]) -> float:
    """Return what knowing a source before choosing saves on average."""
    if not seeker.convex:  # an estimate need not be finer than its samples
        seeker = seeker._replace(tolerance=seeker.tolerance * 1e4)
    known = 0.0
    for rows in blocks:
        share = rows.weights.sum(axis=1)
        apart = rows._replace(weights=rows.weights / share[:, None])
        found = seeker.least(apart, MEAN)
        known += float(share @ np.array([each.value for each in found]))
    (unknown,) = seeker.least(_pooled(blocks), MEAN)
    return float(max(unknown.value - known, 0.0))


def _pooled(blocks: list[Rows]) -> Rows:
    """Return all samples in one row."""
    stacks, weights = [], []
    for rows in blocks:
        ends = np.cumsum([stack.shape[1] for stack in rows.stacks])
        stacks += [stack.in_one_row() for stack in rows.stacks]
        parts = np.split(rows.weights, ends[:-1], axis=1)
        weights += [part.reshape(1, -1) for part in parts]
    return Rows.of(stacks, np.concatenate(weights, axis=1))


def break_even(
    groups: list[Group], weights: list[np.ndarray], pricing: Pricing
) -> tuple[np.ndarray, np.ndarray]:
    """Return the demands, in tokens, at which the plan saves 1 % of the baseline's cost.

    One for each of some samples, with its weight; each demand is scaled, so that it keeps its
    split into input and output and its requests their length. Infinite where no demand saves
    as much.
    """
    found, shares = [], []
    for group, weight in zip(groups, weights, strict=True):
        kept = _middles(len(weight), _MAX_BREAK_EVENS[pricing.convex])
        found.append(_break_even(group.take(kept), pricing))
        shares.append(np.full(len(kept), weight.sum() / len(kept)))
    return np.concatenate(found), np.concatenate(shares)


def _break_even(group: Group, pricing: Pricing) -> np.ndarray:
    unit, goal = _unit_demand(group.demand), np.asarray(goals(pricing.question, group))
    low, high = np.full_like(goal, np.log(1e3)), np.full_like(goal, np.log(1e18))
    last = high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        scaled = group._replace(demand=unit.scaled(np.exp(middle)))
        plans = plans_of(pricing.question, scaled, goal, min(pricing.size, _FEW))
        enough = plans.saving >= _LEAST_SAVING
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(high < last, np.exp(high), np.inf)


def _unit_demand(demand: Demand) -> Demand:
    """Return the demand per token served; split as usual where nothing is served."""
    served = demand.tokens
    some = served > 0
    typical = Demand.of_tokens(np.ones_like(served))
    requests = None if demand.requests is None else typical.requests
    typical = dataclasses.replace(typical, requests=requests)
    return jax.tree.map(
        lambda x, usual: np.where(some, x / np.where(some, served, 1), usual), demand, typical
    )
