"""Scenarios: what may turn out to be true, as groups of joint samples with weights.

A group holds the samples of one family of laws, so that its leaves can be stacked; a sample
is one law, one cost, one demand and one value of each axis.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._numerics import as_floats
from scaling_jax.deciding.functions import PlainFunction
from scaling_jax.laws import Mixture, Sourced
from scaling_jax.planning.functions import is_numeric

Orders = dict[str, np.ndarray]


class Group(NamedTuple):
    """Joint samples of one family of laws: trees whose leaves are all [n], or all [m, n]."""

    law: Any
    cost: Any
    demand: Any
    axes: dict[str, Any]

    def take(self, index: Any) -> "Group":
        """Return the samples of an index."""
        return jax.tree.map(lambda leaf: leaf[index], self)


class Given(NamedTuple):
    """What was given: one tree of floats per family of laws, a cost, a demand, the axes."""

    laws: tuple[Any, ...]
    cost: Any
    demand: Any
    axes: dict[str, Any]

    def sources(self, family: int) -> dict[str, Any]:
        """Return by name what a sample of a family is drawn from."""
        named = {"law": self.laws[family], "cost": self.cost, "demand": self.demand}
        return named | self.axes

    def group(self, family: int, orders: Orders) -> Group:
        """Return the joint samples in which source s has its element `orders[s]`."""

        def taken(leaf: Any, order: np.ndarray) -> Any:
            return leaf[order] if leaf.ndim else leaf[None][np.zeros_like(order)]

        drawn = {
            name: jax.tree.map(lambda leaf, order=orders[name]: taken(leaf, order), tree)
            for name, tree in self.sources(family).items()
        }
        law, cost, demand = (drawn.pop(name) for name in ("law", "cost", "demand"))
        return Group(law, cost, demand, drawn)


class Scenarios(NamedTuple):
    """Joint samples by family of laws, as elements of what was given.

    Attributes:
        given: the inputs.
        orders: of each family and source, the element that each joint sample has.
        weights: of each family, the weight [n] of its samples; all sum to 1.
        uncertain: what is uncertain, by names of sources; those that are paired are one.
    """

    given: Given
    orders: tuple[Orders, ...]
    weights: tuple[np.ndarray, ...]
    uncertain: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        """The number of joint samples."""
        return sum(map(len, self.weights))

    def groups(self) -> list[Group]:
        """Return the joint samples, one group for each family."""
        return [self.given.group(i, orders) for i, orders in enumerate(self.orders)]


def scenarios(
    laws: Any, cost: Any, demands: Any, axes: Mapping[str, Any], seed: int, *, paired: bool
) -> Scenarios:
    """Return laws, costs, demands and axes, each single or stacked, as joint samples.

    Within a family stacks of the greatest length n are paired as they stand, unless they are
    said to be independent. A shorter one is repeated to n, every element as often as the
    others or once more, in an order that the seed fixes.

    Raises:
        ValueError: a source whose leaves are stacked to different lengths, or weights that
            are no weights.
    """
    members = families(laws)
    functions = [*(law for law, _ in members), cost]
    numeric = [each for each in functions if is_numeric(each)]
    *numeric, demands, named = as_floats(
        **{str(i): each for i, each in enumerate(numeric)}, demand=demands, axes=dict(axes)
    )
    dtype = jax.tree.leaves(demands)[0].dtype
    arguments = [(0.0, 0.0)] * len(members) + [(0.0, 0.0, demands)]
    held = iter(numeric)
    *laws, cost = (
        next(held) if is_numeric(each) else PlainFunction(each, of, named, dtype)
        for each, of in zip(functions, arguments, strict=True)
    )
    given = Given(tuple(laws), cost, demands, named)
    given = jax.tree.map(np.asarray, given)
    share = _shares([weight for _, weight in members])
    kept = [i for i, each in enumerate(share) if each > 0]
    given = given._replace(laws=tuple(given.laws[i] for i in kept))
    lengths = [
        {name: _length(name, tree) for name, tree in given.sources(i).items()}
        for i in range(len(kept))
    ]
    sizes = [max(each.values()) for each in lengths]
    orders = [
        {
            name: _order(length, size, paired and length == size, [seed, position])
            for position, (name, length) in enumerate(each.items())
        }
        for each, size in zip(lengths, sizes, strict=True)
    ]
    weights = [np.full(n, share[i] / n) for i, n in zip(kept, sizes, strict=True)]
    uncertain = _uncertain(lengths, sizes, paired)
    return Scenarios(given, tuple(orders), tuple(weights), uncertain)


def families(laws: Any) -> list[tuple[Any, float]]:
    """Return the families of uncertain laws with their weights, which need not sum to 1.

    A `Sourced` stands for its resampled laws, where it has some. A `Mixture` of stacks is an
    uncertain family, each of its members one; a mixture of single laws is a law.
    """
    if isinstance(laws, Sourced):
        return families(laws.law if laws.resampled is None else laws.resampled)
    if isinstance(laws, Mixture) and _has_stacks(laws):
        return _weighted(list(zip(laws.laws, laws.weights, strict=True)))
    if isinstance(laws, list) or type(laws) is tuple:
        if not laws:
            raise ValueError("laws is an empty list; give at least one law")
        return _weighted([_with_weight(each) for each in laws])
    return [(laws, 1.0)]


def _has_stacks(mixture: Mixture) -> bool:
    single = all(np.ndim(weight) == 0 for weight in mixture.weights)
    return single and any(np.ndim(leaf) for leaf in jax.tree.leaves(mixture.laws))


def _with_weight(each: Any) -> tuple[Any, Any]:
    is_pair = type(each) is tuple and len(each) == 2 and isinstance(each[1], float | int)
    return each if is_pair else (each, 1.0)


def _weighted(members: list[tuple[Any, Any]]) -> list[tuple[Any, float]]:
    """Return the families of the members, each member's share kept."""
    found = []
    for law, weight in members:
        inner = families(law)
        shares = _shares([each for _, each in inner])
        found += [(each, float(weight) * s) for (each, _), s in zip(inner, shares, strict=True)]
    return found


def _shares(weights: list[float]) -> np.ndarray:
    array = np.asarray(weights, float)
    if not (np.all(np.isfinite(array)) and np.all(array >= 0) and array.sum() > 0):
        raise ValueError(
            f"the weights of the laws are {array.tolist()}; they must be finite, zero or "
            "more, and not all zero"
        )
    return array / array.sum()


def _order(length: int, size: int, as_it_stands: bool, seed: list[int]) -> np.ndarray:
    order = np.arange(size) % length
    if length == 1 or as_it_stands:
        return order
    return np.random.default_rng(seed).permutation(order)


def _length(name: str, tree: Any) -> int:
    shapes = {leaf.shape for leaf in jax.tree.leaves(tree) if leaf.ndim}
    if len(shapes) > 1 or any(len(shape) > 1 or not shape[0] for shape in shapes):
        raise ValueError(
            f"{name} must be one record, or one whose leaves are stacked to one length; "
            f"its leaves have the shapes {sorted(shapes)}"
        )
    return shapes.pop()[0] if shapes else 1


def _uncertain(
    lengths: list[dict[str, int]], sizes: list[int], paired: bool
) -> tuple[tuple[str, ...], ...]:
    """Return what is uncertain; sources that are paired in some family are one."""
    names = list(lengths[0])
    varied = {name for each in lengths for name, length in each.items() if length > 1}
    if len(lengths) > 1:
        varied.add("law")
    together = {name: {name} for name in names}
    for each, size in zip(lengths, sizes, strict=True):
        full = [name for name in names if paired and 1 < each[name] == size]
        union = set().union(*(together[name] for name in full))
        together |= dict.fromkeys(union, union)
    sources = [tuple(n for n in names if n in together[name]) for name in names]
    return tuple(dict.fromkeys(each for each in sources if set(each) & varied))
