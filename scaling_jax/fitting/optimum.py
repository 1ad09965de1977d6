"""The global optimum, from no starting value."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax.fitting.descent import Ends, Lanes, Progress, Springs, descend_lanes
from scaling_jax.fitting.objective import Data, Objective, residuals, value
from scaling_jax.fitting.power import PowerChart
from scaling_jax.fitting.problem import Problem
from scaling_jax.laws import Law

# The threshold of a first step far from the optimum: nearly every residual counts as small.
_WIDE = 1.0
# Where nothing is known of a family: so many times the starts, the best of more draws.
_EFFORT = 8
_DRAWS = 64
# Above so many runs the starts see a sample of them, and the best ends then see all.
_MANY_RUNS = 2048
_SAMPLE = 1024
# The second of two descents to a neighbouring optimum sees so much more as small.
_WIDER = 16.0
# Objectives that differ by less than this share are as good as linear.
_LINEAR = 1e-2
_OFF_ZERO = 0.05
_FINALISTS = 4
# Where the best end is not final, the finalists go on from so many first thresholds.
_THRESHOLDS = 8
_ROUNDS = 3
# Objectives are the same within this share, or where residuals are as small as this.
_SAME = 1e-6
_NOTHING = 1e-12


class Optimum(NamedTuple):
    """The best end of all starts."""

    theta: np.ndarray
    objective: float
    converged: bool
    agreeing: int
    starts: int

    @property
    def starts_converged(self) -> float:
        """The share of the starts that ended at the optimum."""
        return self.agreeing / self.starts


def find_optimum(problem: Problem, starts: int, seed: int, guess: Law | None) -> Optimum:
    """Return the lowest end of `starts` descents; call it under `jax.enable_x64(True)`."""
    seen = _sample(problem)
    thetas = _starting_points(problem._replace(data=seen), starts, seed, guess)
    first = descend(problem._replace(data=seen), thetas, _WIDE)
    ends = first
    if seen is not problem.data:
        finalists = _finalists(first)
        ends = descend(problem, finalists, warm_delta(problem, finalists[0]))
    ends = _final(problem, ends)
    best = int(np.argmin(ends.objective))
    lowest = ends.objective[best] if seen is problem.data else first.objective.min()
    same = lowest * (1 + _SAME) + _NOTHING**2 * np.sum(seen.weight)
    agreeing = int(np.sum(first.objective <= same))
    if not np.isfinite(ends.objective[best]):
        raise ValueError(
            f"no start of {problem.chart.family.__name__} has a finite objective; give a law "
            "with coefficients that suit the runs in place of the family"
        )
    return Optimum(
        theta=ends.theta[best],
        objective=float(ends.objective[best]),
        converged=bool(ends.converged[best]),
        agreeing=agreeing,
        starts=len(thetas),
    )


def _finalists(ends: Ends) -> np.ndarray:
    return ends.theta[np.argsort(ends.objective)[:_FINALISTS]]


def _final(problem: Problem, ends: Ends) -> Ends:
    """Return ends of which the best is final, or as good as it gets.

    Huber's kinks can stop a descent short of the optimum; another first threshold meets
    others of them.
    """
    firsts = np.geomspace(min(problem.delta, _WIDE), _WIDE, _THRESHOLDS)
    for _ in range(_ROUNDS):
        if ends.converged[np.argmin(ends.objective)]:
            break
        finalists = _finalists(ends)
        again = np.repeat(finalists, _THRESHOLDS, axis=0)
        ends = descend(problem, again, np.tile(firsts, len(finalists)))
    return ends


def descend(
    problem: Problem, thetas: np.ndarray, first_delta: Any, springs: Springs | None = None
) -> Ends:
    """Return the ends of descents that all see the problem's own targets and weights."""
    count, data = len(thetas), problem.data
    lanes = Lanes(
        theta=thetas,
        target=np.broadcast_to(data.target, (count, len(data.target))),
        weight=np.ones((count, len(data.target))),
        first_delta=np.broadcast_to(first_delta, count),
        springs=springs,
    )
    return descend_lanes(problem.objective, lanes, data, problem.delta)


def descend_again(
    problem: Problem,
    theta: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the optima of other targets or weights, [lanes, n], starting from one optimum.

    Where predictions are linear in theta the objective is convex, and its one valley is
    found. Lanes that end too far away for that descend once more, from a wide first
    threshold: the two rarely end in different valleys, and then the lower one counts.
    """
    count, narrow = len(target), warm_delta(problem, theta)
    # A coordinate at zero may be at its bound, where the objective is flat: off it.
    start = np.where(np.abs(theta) < _OFF_ZERO, _OFF_ZERO, theta)
    starts = np.broadcast_to(start, (count, len(theta)))
    lanes = Lanes(starts, target, weight, first_delta=np.full(count, narrow))
    ends = descend_lanes(problem.objective, lanes, problem.data, problem.delta, progress)
    linear = _linear_objectives(problem, start, ends.theta, lanes)
    doubtful = np.flatnonzero(~(np.abs(linear - ends.objective) <= _LINEAR * ends.objective))
    if doubtful.size:
        lanes = jax.tree.map(lambda leaf: leaf[doubtful], lanes)
        lanes = lanes._replace(first_delta=_WIDER * lanes.first_delta)
        second = descend_lanes(problem.objective, lanes, problem.data, problem.delta)
        lower = second.objective < ends.objective[doubtful]
        ends.theta[doubtful[lower]] = second.theta[lower]
    return ends.theta


def _linear_objectives(
    problem: Problem, start: np.ndarray, thetas: np.ndarray, lanes: Lanes
) -> np.ndarray:
    """Return what the lanes' objectives would be, were predictions linear from the start."""
    data, delta = problem.data, problem.delta
    moved = (thetas - start) @ np.asarray(residual_slopes(problem.objective, start, data)).T
    r = np.asarray(_residuals(problem.objective, start, data)) + moved
    r += data.precision * (data.target - lanes.target)
    slope = np.clip(r, -delta, delta)
    return np.einsum("ln,ln,n->l", lanes.weight, slope * (r - slope / 2), data.weight)


def warm_delta(problem: Problem, theta: np.ndarray) -> float:
    """Return the first threshold of descents that start near their end."""
    sizes = np.abs(scaled_residuals(problem, theta))
    return max(min(problem.delta, _WIDE), float(np.median(sizes)))


def scaled_residuals(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return c_i (prediction_i - target_i) of every run."""
    padded = _residuals(problem.objective, theta, problem.data)
    return np.asarray(padded)[: len(problem.runs)]


@functools.partial(jax.jit, static_argnames="objective")
def _residuals(objective: Objective, theta: Any, data: Data) -> jax.Array:
    return residuals(objective, theta, data)


@functools.partial(jax.jit, static_argnames="objective")
def residual_slopes(objective: Objective, theta: Any, data: Data) -> jax.Array:
    """Return the derivatives of the scaled residuals, [n, p]."""
    return jax.jacfwd(lambda t: residuals(objective, t, data))(theta)


def _sample(problem: Problem) -> Data:
    """Return all data, or of many a sample that is even in tokens/param."""
    count, data = len(problem.runs), problem.data
    if count <= _MANY_RUNS:
        return data
    ranks = np.linspace(0, count - 1, _SAMPLE).astype(int)
    rows = np.argsort(problem.runs.tokens_per_param, kind="stable")[ranks]
    design = data.design._replace(x=data.design.x[rows], y=data.design.y[rows])
    return Data(design, data.target[rows], data.weight[rows], data.precision[rows])


def _starting_points(problem: Problem, starts: int, seed: int, guess: Law | None) -> np.ndarray:
    rng, chart, data = np.random.default_rng(seed), problem.chart, problem.data
    real = np.flatnonzero(data.weight > 0)
    design = data.design._replace(x=data.design.x[real], y=data.design.y[real])
    loss = data.target[real]
    if problem.objective.residual == "log":
        loss = np.exp(loss)
    if isinstance(chart, PowerChart):
        thetas = chart.draw(rng, starts, design, loss)
    else:
        drawn = chart.draw(rng, starts * _DRAWS, design, loss)
        values = np.asarray(_values(problem.objective, drawn, data))
        thetas = drawn[np.argsort(values)[: starts * _EFFORT]]  # NaN comes last
    if guess is not None:
        thetas[-1] = np.asarray(chart.coordinates(guess, data.design))
    return thetas


@functools.partial(jax.jit, static_argnames="objective")
def _values(objective: Objective, thetas: Any, data: Data) -> jax.Array:
    """Return the sum of absolute residuals, nearly, of many points."""
    return jax.lax.map(lambda t: value(objective, t, data, 1e-3), thetas, batch_size=256)
