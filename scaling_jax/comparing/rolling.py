"""Prediction by rolling origin: fit the runs below, predict those above, never in sample."""

import numpy as np

from scaling_jax.fitting.descent import Lanes, descend_lanes
from scaling_jax.fitting.optimum import scaled_residuals
from scaling_jax.fitting.problem import Problem, pad
from scaling_jax.fitting.starts import starting_points
from scaling_jax.fitting.tuning import TUNING

# So many drawn starts besides the fit to all runs, at each origin.
_STARTS = 3


def predictions(
    problem: Problem, theta: np.ndarray, below: np.ndarray, seed: int
) -> np.ndarray:
    """Return the log losses that a family predicts from each origin, [origins, n].

    The descents of all origins are lanes of the program that fitted all runs: runs above an
    origin have no weight in its lanes. Call it under `jax.enable_x64(True)`.

    Args:
        problem: the fit of the family to all runs.
        theta: its optimum, the first start.
        below: which runs are fitted, [origins, n].
        seed: of the other starts.
    """
    length = len(problem.data.target)
    drawn = starting_points(problem, _STARTS, np.random.default_rng([seed, 2]), None)
    starts = np.concatenate([theta[None], drawn[:_STARTS]])
    weight = pad(below.astype(float), 0.0, length).repeat(len(starts), axis=0)
    lanes = Lanes(
        theta=np.tile(starts, (len(below), 1)),
        target=np.broadcast_to(problem.data.target, weight.shape),
        weight=weight,
        first_delta=np.full(len(weight), TUNING.wide),
    )
    ends = descend_lanes(problem.objective, lanes, problem.data, problem.delta)
    objective = np.where(np.isfinite(ends.objective), ends.objective, np.inf)
    best = np.argmin(objective.reshape(len(below), len(starts)), axis=1)
    thetas = ends.theta.reshape(len(below), len(starts), -1)[np.arange(len(below)), best]
    return np.stack([_log_losses(problem, each) for each in thetas])


def _log_losses(problem: Problem, theta: np.ndarray) -> np.ndarray:
    count = len(problem.runs)
    precision, target = problem.data.precision[:count], problem.data.target[:count]
    predicted = target + scaled_residuals(problem, theta) / precision
    if problem.objective.residual == "log":
        return predicted
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(predicted)
