"""Where the descents begin: points that are plausible for the family and fit the runs."""

from typing import Any

import numpy as np

from scaling_jax.fitting.charts import LawChart
from scaling_jax.fitting.draws import plausible
from scaling_jax.fitting.linear_part import completed, linear_part
from scaling_jax.fitting.power import PowerChart
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.tuning import TUNING
from scaling_jax.fitting.units import in_units_of
from scaling_jax.laws import Law


def starting_points(
    problem: Problem, starts: int, rng: np.random.Generator, guess: Law | None
) -> np.ndarray:
    """Return points to descend from, [m, p]; under `jax.enable_x64(True)`.

    A chart made by hand draws its own. For any other law coefficients are drawn over their
    typical ranges, those in which the loss is linear are fitted to each draw, and the best
    draws of many are taken.
    """
    chart, points = problem.chart, problem.data.points
    counted = np.flatnonzero(problem.data.weight > 0)
    loss = problem.data.target[counted]
    if problem.objective.residual == "log":
        loss = np.exp(loss)
    if isinstance(chart, PowerChart):
        thetas = chart.draw(rng, starts, points.at(counted), loss)
    else:
        thetas = _screened(problem, chart, TUNING.effort * starts, rng, float(loss.min()))
    if guess is not None:
        theta = np.asarray(chart.coordinates(guess, points))
        thetas[-1] = in_units_of(chart, theta, points) if isinstance(chart, LawChart) else theta
    return thetas


def _screened(
    problem: Problem, chart: Any, count: int, rng: np.random.Generator, most: float
) -> np.ndarray:
    """Return the best of many quasi-random points."""
    trials = plausible(chart, np.random.default_rng(0), 4, most)
    part = linear_part(chart, problem.data.points.at(problem.data.weight > 0), trials)
    values = plausible(chart, rng, max(TUNING.draws, count), most)
    thetas, objectives = map(
        np.asarray, completed(problem.objective, part, values, problem.data, TUNING.nudge)
    )
    # As `argsort` leaves NaN to the end; of an array from JAX nothing can be written to.
    return np.array(thetas[np.argsort(objectives)[:count]])
