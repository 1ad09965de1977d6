"""Minimisation of a convex function of one or two variables, kinks included, certified.

Any point c with value f and subgradient g bounds a convex function from below by
f + g . (x - c), so that no minimum lies where g . (x - c) > 0. Cutting that half away at the
centre of gravity of what is left shrinks its area by a factor of 1 - 1/e or better each time,
and the bound at the corners of what is left certifies how far from the minimum the best point
is. Unlike a descent it does not stall at the kinks of a CVaR or of a largest regret.
Sources: Levin 1965; Newman 1965, "Location of the maximum on unimodal surfaces".
"""

import dataclasses
from collections.abc import Callable

import numpy as np

_MAX_STEPS = 400
_GROWTHS = 12

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(kw_only=True, eq=False)
class Search:
    """What is left of the region of one search, and the best point so far.

    `gap` bounds how far the value is above the minimum within the region.
    """

    corners: np.ndarray
    x: np.ndarray
    value: float = np.inf
    bound: float = -np.inf

    @property
    def gap(self) -> float:
        """Best value less the lower bound."""
        return max(self.value - self.bound, 0.0)

    def cut(self, centre: np.ndarray, value: float, gradient: np.ndarray) -> None:
        """Take in the value and a subgradient at a point of the region."""
        slack = (self.corners - centre) @ gradient
        if np.isfinite(value):
            self.bound = max(self.bound, value + float(slack.min()))
            if value < self.value:
                self.x, self.value = centre, value
        self.corners = _clipped(self.corners, slack)


def minimise(
    evaluate: Evaluate,
    low: np.ndarray,
    high: np.ndarray,
    tolerance: float,
    cap: np.ndarray | float = np.inf,
) -> list[Search]:
    """Minimise m convex functions of d = 1 or 2 variables over boxes, side by side.

    Args:
        evaluate: x [m, d] -> values [m] and subgradients [m, d]. Where there is no value, it is
            infinite and the gradient points away from where there is one.
        low, high: [m, d], the boxes to start with; one grows where the minimum is at an edge,
            unless it has no width.
        tolerance: the gap at which a search ends.
        cap: [d] or one number, beyond which no box reaches.
    """
    high = np.minimum(high, cap)
    low = np.minimum(low, high)
    searches = _within(evaluate, low, high, tolerance)
    for _ in range(_GROWTHS):
        best, width = np.array([search.x for search in searches]), high - low
        below = best - low < 1e-3 * width
        above = (high - best < 1e-3 * width) & (high < cap)
        stuck = np.any(below | above, axis=1, keepdims=True)
        if not stuck.any():
            break
        low = np.where(stuck, low - width, low)
        high = np.where(stuck, np.minimum(high + width, cap), high)
        searches = _within(evaluate, low, high, tolerance)
    return searches


def _within(
    evaluate: Evaluate, low: np.ndarray, high: np.ndarray, tolerance: float
) -> list[Search]:
    searches = [
        Search(corners=_box(a, b), x=(a + b) / 2) for a, b in zip(low, high, strict=True)
    ]
    for _ in range(_MAX_STEPS):
        active = [search.gap > tolerance for search in searches]
        if not any(active):
            break
        centres = np.array([_centre(search.corners) for search in searches])
        values, gradients = evaluate(centres)
        for search, go, *seen in zip(searches, active, centres, values, gradients, strict=True):
            if go:
                search.cut(*seen)
    return searches


def _box(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the corners of an interval, or of a rectangle in order."""
    if len(low) == 1:
        return np.array([low, high])
    (a, b), (c, d) = low, high
    return np.array([[a, b], [c, b], [c, d], [a, d]])


def _centre(corners: np.ndarray) -> np.ndarray:
    """Return the centre of gravity; of a polygon without area, the mean of its corners."""
    mean = corners.mean(axis=0)
    if corners.shape[1] == 1:
        return mean
    p = corners - mean
    q = np.roll(p, -1, axis=0)
    cross = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    area = cross.sum()
    if not area > 0:
        return mean
    return mean + (cross @ (p + q)) / (3 * area)


def _clipped(corners: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Return the part where the slack, linear along the edges, is zero or less."""
    kept = []
    count = len(corners)
    for i in range(count):
        j = (i + 1) % count
        if slack[i] <= 0:
            kept.append(corners[i])
        if min(slack[i], slack[j]) < 0 < max(slack[i], slack[j]):
            kept.append(
                corners[i] + slack[i] / (slack[i] - slack[j]) * (corners[j] - corners[i])
            )
    if corners.shape[1] == 1:
        kept = [min(kept), max(kept)]
    return np.array(kept)
