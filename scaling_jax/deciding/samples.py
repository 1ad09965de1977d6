"""Uncertain inputs as joint samples: one law, one cost and one demand each."""

from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._numerics import as_floats

# The normal quantile that bounds the central 95 %.
_Z95 = 1.959963984540054


def log_normal(median: float, factor: float, *, samples: int, seed: int = 0) -> np.ndarray:
    """Return samples [n] of a log-normal quantity given by its median and a factor.

    median * factor^(z / 1.96), z standard normal: 95 % of the quantity lies between
    median / factor and median * factor. One sample is drawn from each of n strata of equal
    probability, in random order, so that means are far more accurate than those of
    independent draws. Give independent quantities different seeds.

    Raises:
        ValueError: a median or a factor of no log-normal quantity, or no samples.

    Example:
        >>> tokens = log_normal(2e12, 5, samples=1000)
        >>> [f"{q:.0e}" for q in np.quantile(tokens, [0.025, 0.5, 0.975])]
        ['4e+11', '2e+12', '1e+13']
    """
    if not 0 < median < np.inf:
        raise ValueError(f"median is {median:g}; it must be positive and finite")
    if not 1 <= factor < np.inf:
        raise ValueError(f"factor is {factor:g}; it must be 1 or more, and finite")
    if samples < 1:
        raise ValueError(f"samples is {samples}; it must be 1 or more")
    random = np.random.default_rng(seed)
    probability = (random.permutation(samples) + random.uniform(size=samples)) / samples
    z = np.array([NormalDist().inv_cdf(each) for each in probability.tolist()])
    return median * factor ** (z / _Z95)


class Joint(NamedTuple):
    """Joint samples: NumPy leaves [n]. `uncertain` names what was stacked."""

    law: Any
    cost: Any
    demand: Any
    uncertain: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(jax.tree.leaves(self.demand)[0])

    def take(self, index: Any, **others: Any) -> "Joint":
        """Return the samples of an index, or of another index for the sources named."""

        def taken(name: str) -> Any:
            at = others.get(name, index)
            return jax.tree.map(lambda leaf: leaf[at], getattr(self, name))

        return Joint(taken("law"), taken("cost"), taken("demand"), self.uncertain)


def joint(law: Any, cost: Any, demand: Any, seed: int) -> Joint:
    """Return laws, costs and demands, each single or stacked, as joint samples.

    Stacks of the greatest length n are paired as they stand. A shorter one is repeated to n,
    every element as often as the others or once more, in an order that the seed fixes.

    Raises:
        ValueError: a source whose leaves are stacked to different lengths.
    """
    floats = as_floats(law=law, cost=cost, demand=demand)
    on_host = [jax.tree.map(np.asarray, each) for each in floats]
    sources: dict[str, Any] = dict(zip(("law", "cost", "demand"), on_host, strict=True))
    lengths = {name: _length(name, tree) for name, tree in sources.items()}
    size = max(lengths.values())
    drawn = {}
    for position, (name, tree) in enumerate(sources.items()):
        order = np.arange(size) % lengths[name]
        if 1 < lengths[name] < size:
            order = np.random.default_rng([seed, position]).permutation(order)
        drawn[name] = jax.tree.map(
            lambda leaf, order=order: leaf[order] if leaf.ndim else np.broadcast_to(leaf, size),
            tree,
        )
    uncertain = tuple(name for name, length in lengths.items() if length > 1)
    return Joint(**drawn, uncertain=uncertain)


def _length(name: str, tree: Any) -> int:
    shapes = {leaf.shape for leaf in jax.tree.leaves(tree) if leaf.ndim}
    if len(shapes) > 1 or any(len(shape) > 1 or not shape[0] for shape in shapes):
        raise ValueError(
            f"{name} must be one record, or one whose leaves are stacked to one length; "
            f"its leaves have the shapes {sorted(shapes)}"
        )
    return shapes.pop()[0] if shapes else 1
