"""Minimisation of any function of one or two variables by grids that zoom in.

A grid over a box finds the basins, and the box grows while the best point is at an edge. The
few best basins are then looked at through windows that follow the best point and shrink about
it, so that kinks and steps are no obstacle. What is found is the least to the fineness of the
first grid: a basin narrower than its cells may be missed, and no bound is given.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# By the number of variables: points of the grid and of a window along each, and what a window
# shrinks by, to 1.5 cells on either side.
_GRID = {1: 129, 2: 33}
_WINDOW = {1: 17, 2: 7}
_BASINS, _CONTESTS = 3, 3
_GROWTHS, _MAX_STEPS = 12, 120

Values = Callable[[np.ndarray], np.ndarray]


class Found(NamedTuple):
    """The least points [m, d] and their values [m]; infinite where there is none."""

    x: np.ndarray
    value: np.ndarray


def minimise(
    values: Values,
    low: np.ndarray,
    high: np.ndarray,
    *,
    cap: np.ndarray,
    tolerance: float,
    extra: np.ndarray,
) -> Found:
    """Minimise m functions of d = 1 or 2 variables, side by side.

    Args:
        values: x [g, m, d] -> values [g, m], infinite or NaN where there are none.
        low, high: [m, d], the boxes to start with.
        cap: [d], beyond which no box grows.
        tolerance: the differences of value at which a window is fine enough.
        extra: [k, d], points that are tried too.
    """
    seen, window = _grid(values, low, high, cap, extra)
    basins = _basins(seen, window)
    offsets = _offsets(low.shape[1])
    shrink = 3.0 / (_WINDOW[low.shape[1]] - 1)
    half = np.tile(window, (len(basins.x), 1, 1))
    for step in range(_MAX_STEPS):
        if step == _CONTESTS:
            basins, half = _best_of(basins, half)
        x = np.minimum(basins.x + offsets[:, None, None, :] * half, cap)
        flat = _finite(values(x.reshape(-1, *x.shape[2:]))).reshape(x.shape[:3])
        best = flat.argmin(axis=0)[None]
        value = np.take_along_axis(flat, best, axis=0)[0]
        lower = value < basins.value
        to = np.take_along_axis(x, best[..., None], axis=0)[0]
        basins = Found(
            np.where(lower[..., None], to, basins.x), np.where(lower, value, basins.value)
        )
        # A best point at the rim means that the window has to move before it shrinks.
        moved = lower[..., None] & (np.abs(offsets[best[0]]) > 1 - 1e-9)
        half = np.where(moved, half, half * shrink)
        even = flat.max(axis=0) <= basins.value + tolerance
        fine = np.all(half <= 1e-15 + 4e-16 * np.abs(basins.x), axis=-1)
        if step >= _CONTESTS and np.all(even & ~moved.any(axis=-1) | fine):
            break
    basins, _ = _best_of(basins, half)
    return Found(basins.x[0], basins.value[0])


def _grid(
    values: Values, low: np.ndarray, high: np.ndarray, cap: np.ndarray, extra: np.ndarray
) -> tuple[Found, np.ndarray]:
    """Return all points [g, m, d] of a grid, which grows while it has to, and its cells."""
    d = low.shape[1]
    marks = np.linspace(0, 1, _GRID[d])
    unit = np.stack(np.meshgrid(*[marks] * d, indexing="ij"), axis=-1).reshape(-1, 1, d)
    x = np.minimum(low + unit * (high - low), cap)
    tried = np.broadcast_to(np.minimum(extra, cap)[:, None, :], (len(extra), *low.shape))
    x = np.concatenate([tried, x])
    seen = Found(x, _finite(values(x)))
    for _ in range(_GROWTHS):
        width = high - low
        best = np.take_along_axis(seen.x, seen.value.argmin(axis=0)[None, :, None], axis=0)[0]
        nothing = np.all(np.isinf(seen.value), axis=0)[:, None]
        below = nothing | (best <= low + 1e-9 * width)
        above = (nothing | (best >= high - 1e-9 * width)) & (high < cap)
        if not (below | above).any():
            break
        low = np.where(below, low - width, low)
        high = np.minimum(np.where(above, high + width, high), cap)
        x = np.minimum(low + unit * (high - low), cap)
        seen = Found(
            np.concatenate([seen.x, x]), np.concatenate([seen.value, _finite(values(x))])
        )
    return seen, (high - low) / (_GRID[d] - 1)


def _basins(seen: Found, cell: np.ndarray) -> Found:
    """Return the best points that are three cells or more apart from better ones."""
    found, value = [], seen.value.copy()
    for _ in range(_BASINS):
        best = value.argmin(axis=0)[None]
        x = np.take_along_axis(seen.x, best[..., None], axis=0)
        found.append(Found(x[0], np.take_along_axis(value, best, axis=0)[0]))
        near = np.all(np.abs(seen.x - x) < 3 * cell, axis=-1)
        value = np.where(near, np.inf, value)
    return Found(np.stack([each.x for each in found]), np.stack([each.value for each in found]))


def _best_of(basins: Found, half: np.ndarray) -> tuple[Found, np.ndarray]:
    best = basins.value.argmin(axis=0)[None]
    x, half = (np.take_along_axis(each, best[..., None], axis=0) for each in (basins.x, half))
    return Found(x, np.take_along_axis(basins.value, best, axis=0)), half


def _offsets(d: int) -> np.ndarray:
    marks = np.linspace(-1, 1, _WINDOW[d])
    return np.stack(np.meshgrid(*[marks] * d, indexing="ij"), axis=-1).reshape(-1, d)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), np.inf, values)
