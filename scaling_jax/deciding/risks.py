"""Risks of weighted outcomes, and quantiles of weighted samples.

Each risk is a weighted sum of outcomes, with q chosen to make it largest:

    mean    q = w
    cvar    0 <= q_s <= w_s / (1 - level), of sum 1: the worst share 1 - level of the samples
    regret  all on the sample of largest J - J*

Source of CVaR: Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk".
"""

import math
from typing import NamedTuple

import numpy as np

Interval = tuple[float, float]


class Risk(NamedTuple):
    """Which risk is minimised; the level is that of the CVaR."""

    name: str
    level: float


RISKS = ("mean", "cvar", "regret")
MEAN = Risk("mean", 0.0)


class Tail(NamedTuple):
    """The samples that a risk [m] is made of: members [m, k], or None for all; weights."""

    value: np.ndarray
    members: np.ndarray | None
    weight: np.ndarray

    def of(self, slopes: np.ndarray) -> np.ndarray:
        """Return the weighted sums [m, d] of what belongs to each sample, [m, n, d]."""
        if self.members is not None:
            slopes = np.take_along_axis(slopes, self.members[:, :, None], axis=1)
        return np.einsum("mnd,mn->md", slopes, self.weight)


def tail(outcome: np.ndarray, best: np.ndarray, weight: np.ndarray, risk: Risk) -> Tail:
    """Return the risk [m] of outcomes [m, n], infinite where it has none."""
    outcome = np.where(np.isnan(outcome), np.inf, outcome)
    if risk.name == "mean":
        return Tail(np.einsum("mn,mn->m", outcome, weight), None, weight)
    if risk.name == "regret":
        regret = outcome - best
        index = np.argmax(regret, axis=1)[:, None]
        worst = np.take_along_axis(regret, index, axis=1)
        return Tail(worst[:, 0], index, np.ones_like(worst))
    share, size = 1 - risk.level, outcome.shape[1]
    count = min(math.ceil(share / float(weight.min()) * (1 + 1e-12)), size)
    index = np.argpartition(outcome, size - count, axis=1)[:, size - count :]
    values = np.take_along_axis(outcome, index, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    index = np.take_along_axis(index, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    weight = np.take_along_axis(weight, index, axis=1)
    before = np.cumsum(weight, axis=1) - weight
    q = np.clip(share - before, 0, weight)
    q /= q.sum(axis=1, keepdims=True)
    value = np.einsum("mn,mn->m", np.where(q > 0, values, 0.0), q)
    return Tail(value, index, q)


def quantiles(values: np.ndarray, weights: np.ndarray, *at: float) -> list[float]:
    """Return quantiles that are values of the sample, so that infinite ones do no harm."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middle = np.cumsum(weights) - weights / 2
    span = middle[-1] - middle[0]
    position = (middle - middle[0]) / (span or 1.0)
    return [float(values[np.argmin(np.abs(position - each))]) for each in at]


def central(values: np.ndarray, weights: np.ndarray) -> Interval:
    """Return the central 95 %."""
    low, high = quantiles(values, weights, 0.025, 0.975)
    return low, high


def median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the median."""
    return quantiles(values, weights, 0.5)[0]
