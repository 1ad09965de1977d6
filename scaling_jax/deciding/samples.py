"""Samples of one uncertain quantity."""

from statistics import NormalDist

import numpy as np

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
