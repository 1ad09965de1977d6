"""Plausible coefficients, spread evenly: where the search for a law of one's own begins."""

import numpy as np

from scaling_jax._pytree import POSITIVE, Domain
from scaling_jax.fitting.charts import LawChart, is_positive
from scaling_jax.fitting.tuning import TUNING


def plausible(chart: LawChart, rng: np.random.Generator, count: int, most: float) -> np.ndarray:
    """Return coefficients over their typical ranges, [count, p].

    N and D are counted in their geometric means where the family takes up such units, so
    that levels are near one whatever the runs.

    Args:
        chart: the family.
        rng: random numbers.
        count: how many.
        most: the largest value of a floor: the least loss of the runs.
    """
    shares = _evenly(rng, count, chart.size)
    columns = [
        _within(domain, share, most)
        for domain, share in zip(chart.domains.values(), shares, strict=True)
    ]
    return np.stack(columns, axis=1)


def _evenly(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    """Return a low-discrepancy sequence in the unit cube, shifted at random, [dimensions, n].

    Source: the additive recurrence on powers of the root of x^(d + 1) = x + 1; Roberts, "The
    unreasonable effectiveness of quasirandom sequences" (2018).
    """
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    start = rng.uniform(size=dimensions)
    return (start[:, None] + steps[:, None] * np.arange(1, count + 1)) % 1


def _within(domain: Domain, share: np.ndarray, most: float) -> np.ndarray:
    low, high = domain.typical
    if domain.role == "floor":
        return share * most
    if domain == POSITIVE:
        low, high = 10.0**-TUNING.scale_decades, 10.0**TUNING.scale_decades
    if is_positive(domain) or low > 0:
        return low * (high / low) ** share
    return low + (high - low) * share
