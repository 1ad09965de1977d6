"""How much each family counts: by what it predicted that it had not seen.

With e_fo the mean absolute error of family f above origin o, relative to the median family's,

    w_f ~ (prod_o e_fo^v_o)^-k,   sum_o v_o = 1,   k = 6 m / (m + 10)

m the number of runs that were held out. A few of them leave the families nearly alike,
many let the best lead; no error in sample enters. Later origins, which are fitted to more
runs, count for more: v_o grows e^2-fold from the first to the last. A family of which the
errors are several times the median's, or that has fewer than three runs for every two
coefficients, is left out: it may explode. So is what comes to less than a hundredth.

On splits of public tables (`benchmarks/compare_tables.py`) this predicts better than any one
family, and better than convex stacking of squared or absolute errors at any ridge, which on
so few and so alike predictions takes what cancels by chance. Source of the idea: Yao et al.,
"Using stacking to average Bayesian predictive distributions", Bayesian Analysis 13 (2018),
where the like of it is called pseudo-BMA+.
"""

import numpy as np

_SHARPEST = 6.0
_ALIKE = 10.0  # held-out runs at which the weights are half as sharp
_LATE = 2.0
_GROSS = 2.5
_RUNS_PER_COEFFICIENT = 1.5
_LEAST = 0.01
# Errors that are rounding.
_NOTHING = 1e-9


def weights(errors: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the families' weights, [families], which sum to 1.

    Args:
        errors: prediction / measurement - 1 of the runs above each origin, [families,
            origins, n], and NaN elsewhere.
        freedom: runs per coefficient of each family; 0 of one that may have no weight.

    Example:
        >>> errors = np.full((3, 1, 40), 0.01)
        >>> errors[1] = 0.02
        >>> weights(errors, np.array([5.0, 8.0, 1.0])).round(2).tolist()
        [0.97, 0.03, 0.0]
    """
    allowed = freedom >= _RUNS_PER_COEFFICIENT
    if not allowed.any():
        allowed = freedom > 0
    seen = ~np.isnan(errors)
    shares = _shares(errors, seen.astype(float), allowed)
    shares = np.where(shares < _LEAST, 0.0, shares)
    return shares / shares.sum()


def drawn(errors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a family for each of many draws, [count], by weights that are uncertain too.

    Each draw weighs the held-out runs anew (the Bayesian bootstrap: exponential weights), and
    picks a family by the weights that result. Source: Rubin, "The Bayesian bootstrap", Annals
    of Statistics 9 (1981).

    Args:
        errors: of the families that have a weight, as `weights` takes them.
        count: how many draws.
        rng: random numbers.
    """
    seen, everyone = ~np.isnan(errors), np.ones(len(errors), bool)
    found = np.empty(count, int)
    for draw in range(count):
        again = rng.exponential(size=errors.shape[2])
        shares = _shares(errors, seen * again, everyone)
        found[draw] = rng.choice(len(shares), p=shares)
    return found


def _shares(errors: np.ndarray, counts: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the weights where each run above an origin counts so much, [families]."""
    total = counts.sum(axis=2)
    judged = (total > 0) & allowed[:, None]
    sizes = np.where(counts > 0, np.minimum(np.abs(errors), 1e6), 0.0)
    mean = (sizes * counts).sum(axis=2) / np.where(total > 0, total, 1.0) + _NOTHING
    some = judged.any(axis=0)
    if not some.any():
        return allowed / allowed.sum()
    mean, judged = mean[:, some], judged[:, some]
    relative = mean / np.nanmedian(np.where(judged, mean, np.nan), axis=0)
    late = np.exp(_LATE * np.linspace(0, 1, judged.shape[1])) * judged
    whole = np.maximum(late.sum(axis=1), 1e-300)
    score = (late * np.log(relative)).sum(axis=1) / whole
    sound = allowed & judged.any(axis=1)
    calm = sound & ((late * relative).sum(axis=1) / whole < _GROSS)
    sound = calm if calm.any() else sound
    held_out = (~np.isnan(errors)).any(axis=(0, 1)).sum()
    sharpness = _SHARPEST * held_out / (held_out + _ALIKE)
    score = np.where(sound, score, np.inf)
    shares = np.exp(-sharpness * (score - score.min()))
    return shares / shares.sum()
