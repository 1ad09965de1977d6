"""Which way predictions will be asked for: the order in which runs are held out."""

from typing import Any, Literal

import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.runs import Runs

Direction = Literal["tokens_per_param", "params", "train_flops", "corner"]
Toward = Direction | tuple[float, float]
DIRECTIONS: tuple[Direction, ...] = ("tokens_per_param", "params", "train_flops", "corner")

# Runs whose coordinates differ by less than this are at one place: a run takes whole batches.
_SAME = 1e-3


def along(runs: Runs, toward: Any) -> np.ndarray:
    """Return how far each run is along a direction, [n].

    Args:
        runs: the runs.
        toward: "tokens_per_param", "params" or "train_flops", of which the logarithm counts;
            "corner", the lesser of a run's places in params and in tokens per param, each
            from 0 to 1 in its logarithm; or a point (params, tokens), of which the distance
            counts, in standard deviations of the runs' logarithms.

    Raises:
        ValueError: no such direction, or a point that is none.

    Example:
        >>> runs = Runs(params=[1e8, 1e9, 1e9], tokens=[1e10, 1e10, 1e11], loss=[3.5, 3.0, 2.6])
        >>> along(runs, "corner").tolist()
        [0.0, 0.0, 1.0]
    """
    x, y = np.log(runs.params), np.log(runs.tokens)
    if not isinstance(toward, str):
        return -_distance(x, y, _point(toward))
    if toward == "corner":
        return np.minimum(_share(x), _share(y - x))
    columns = {"tokens_per_param": y - x, "params": x, "train_flops": x + y}
    if toward not in columns:
        raise Refusal(
            f"toward is {toward!r}; it must be {', '.join(DIRECTIONS)}, or (params, tokens)"
        )
    return columns[toward]


def origins(
    distance: np.ndarray, counted: np.ndarray, shares: tuple[float, ...], least: int
) -> np.ndarray:
    """Return which runs are below each origin, [origins, n], the nearest origin first.

    An origin lies above a share of the runs that count; runs at one place are on one side
    of it, and every origin has at least `least` runs below and one above.

    Example:
        >>> distance = np.array([1.0, 2.0, 2.0, 3.0])
        >>> origins(distance, np.ones(4, bool), (0.25, 0.5), least=1).astype(int).tolist()
        [[1, 0, 0, 0], [1, 1, 1, 0]]
    """
    ordered = np.sort(distance[counted])
    found: dict[bytes, np.ndarray] = {}
    for share in shares:
        last = ordered[max(round(share * len(ordered)) - 1, 0)]
        below = counted & (distance <= last + _SAME)
        if least <= below.sum() < counted.sum():
            found[below.tobytes()] = below
    return np.array(list(found.values()), bool).reshape(-1, len(distance))


def _point(toward: Any) -> np.ndarray:
    try:
        point = np.asarray(toward, float)
    except (TypeError, ValueError):
        point = np.zeros(0)
    if point.shape != (2,) or not (np.isfinite(point) & (point > 0)).all():
        raise Refusal(
            f"toward is {toward!r}; a point is (params, tokens), both positive and finite"
        )
    return np.log(point)


def _distance(x: np.ndarray, y: np.ndarray, point: np.ndarray) -> np.ndarray:
    # A column that hardly varies tells no direction.
    spread = np.maximum([x.std(), y.std()], _SAME)
    return np.hypot((x - point[0]) / spread[0], (y - point[1]) / spread[1])


def _share(column: np.ndarray) -> np.ndarray:
    return (column - column.min()) / max(np.ptp(column), _SAME)
