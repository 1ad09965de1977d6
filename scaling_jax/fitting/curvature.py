"""What the curvature of the objective at its optimum tells: errors, spectrum, leverage.

With J the derivatives of the scaled residuals, W the weights and psi the slope of Huber's
function, an M-estimator has the covariance

    s^2 (J^T W J)^-1,   s^2 = [sum w psi(r)^2 / (n - p)] / E[psi'(r)]^2 .

Source: Huber and Ronchetti, "Robust Statistics", 2nd edition (2009), section 7.6.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Domain, coefficients, with_coefficients
from scaling_jax.fitting.charts import Chart, Points, is_positive
from scaling_jax.fitting.objective import Data, Objective
from scaling_jax.fitting.optimum import residual_slopes, scaled_residuals
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.resampling import student_quantile


class Curvature(NamedTuple):
    """Everything local that the diagnostics need.

    `noise` is s, and `dispersion` the scale by which twice the rise of the objective is
    distributed as chi-squared: E[psi^2] / E[psi']. `spectrum` [p] holds the singular values
    of the weighted, scaled residuals' derivatives with respect to the logarithms of the
    coefficients (those of either sign themselves), N and D in units of their geometric means
    where the family takes them up; `directions` [p, p] the combinations of coefficients that
    belong to them, in rows; `leverage` [n].
    """

    noise: float
    dispersion: float
    spectrum: np.ndarray
    directions: np.ndarray
    leverage: np.ndarray


def curvature(problem: Problem, theta: np.ndarray) -> Curvature:
    """Return the curvature at the optimum; call it under `jax.enable_x64(True)`."""
    count = len(problem.runs)
    jacobian = np.asarray(_sensitivity(problem.objective, theta, problem.data))[:count]
    weight = problem.data.weight[:count]
    sensitivity = np.sqrt(weight)[:, None] * np.nan_to_num(jacobian)
    left, spectrum, directions = np.linalg.svd(sensitivity, full_matrices=False)
    noise, dispersion = _noise(problem, theta)
    return Curvature(
        noise=noise,
        dispersion=dispersion,
        spectrum=spectrum,
        directions=directions,
        leverage=np.sum(left[:, spectrum > 1e-9 * spectrum[0]] ** 2, axis=1),
    )


def intervals(
    problem: Problem, theta: np.ndarray, noise: float
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals from the curvature: Student's t about the estimate.

    The logarithm of a positive coefficient is taken to be normal, and of any other the
    coefficient itself, cut off at its bound.
    """
    freedom = problem.degrees_of_freedom
    reach = student_quantile(freedom) if freedom > 0 else np.inf
    result = {}
    for marginal in marginals(problem, theta, noise):
        half = reach * marginal.error
        with np.errstate(over="ignore", invalid="ignore"):
            ends = np.array([marginal.position - half, marginal.position + half])
            low, high = np.exp(ends) if is_positive(marginal.domain) else ends
        result[marginal.name] = clipped(marginal.domain, float(low), float(high))
    return result


def clipped(domain: Domain, low: float, high: float) -> tuple[float, float]:
    """Return an interval within what its coefficient may be."""
    least, most = bounds(domain)
    return max(low, least), min(high, most)


def bounds(domain: Domain) -> tuple[float, float]:
    """Return the least and the largest number of a domain, infinite where there is none."""
    reached = np.asarray(domain.from_real(np.append(np.linspace(-40, 40, 81), np.pi / 2)))
    least, most = float(reached.min()), float(reached.max())
    if not domain.contains(-1e-30) and domain.contains(1e-30):
        least = 0.0
    return (
        -np.inf if domain.contains(-1e30) else least,
        np.inf if domain.contains(1e30) else most,
    )


class Marginal(NamedTuple):
    """One coefficient by itself: its position (a logarithm where positive) and error."""

    name: str
    domain: Domain
    position: float
    error: float


def marginals(problem: Problem, theta: np.ndarray, noise: float) -> list[Marginal]:
    """Return each coefficient's standard error, from the curvature."""
    plain, plain_theta = problem.plain(theta)
    rows = _weighted_slopes(problem, theta)
    positions, slopes = _positions(problem.chart, plain_theta, plain.data.points)
    if plain is not problem:  # where coordinates move to as the same losses do
        moved = np.linalg.pinv(_weighted_slopes(plain, plain_theta), rcond=1e-13) @ rows
        slopes = np.asarray(slopes) @ moved
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    # A direction that the runs do not see at all has a huge error, not none.
    along = (np.asarray(slopes) @ directions.T) / np.maximum(sizes, 1e-8 * sizes[0])
    errors = noise * np.linalg.norm(along, axis=1)
    columns = zip(problem.chart.domains.items(), np.asarray(positions), errors, strict=True)
    return [Marginal(n, d, float(position), float(e)) for (n, d), position, e in columns]


def _weighted_slopes(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return sqrt(w) d residual / d theta of the runs, [n, p]."""
    count = len(problem.runs)
    rows = np.asarray(residual_slopes(problem.objective, theta, problem.data))[:count]
    return np.nan_to_num(rows) * np.sqrt(problem.data.weight[:count])[:, None]


def _noise(problem: Problem, theta: np.ndarray) -> tuple[float, float]:
    """Return s and the dispersion; infinite without a degree of freedom."""
    counted = np.flatnonzero(problem.counted)
    r, weight = scaled_residuals(problem, theta)[counted], problem.data.weight[counted]
    freedom = problem.degrees_of_freedom
    if freedom < 1:
        return np.inf, np.inf
    psi = np.clip(r, -problem.delta, problem.delta)
    square = float(np.sum(weight * psi**2)) / freedom
    # E[psi'] is the chance of |r| <= delta. Where delta is narrow it is told from a wider
    # band, without the residuals of the runs that the law passes through exactly.
    band = _kernel_width(r)
    if band > problem.delta:
        free = r[np.argsort(np.abs(r), kind="stable")[problem.chart.size :]]
        band = _kernel_width(free)
        inside = max(np.mean(np.abs(free) <= band), 1 / len(free))
        share = inside * min(1.0, problem.delta / max(band, 1e-300))
    else:
        share = float(np.mean(np.abs(r) <= problem.delta))
    share = max(share, 1e-300)
    return float(np.sqrt(square) / share), float(square / share)


def _kernel_width(r: np.ndarray) -> float:
    """Return Silverman's width of a density estimate."""
    low, high = np.quantile(r, [0.25, 0.75])
    return 1.06 * min(r.std(), (high - low) / 1.349) * len(r) ** -0.2


@functools.partial(jax.jit, static_argnames="chart")
def _positions(chart: Chart, theta: Any, points: Points) -> tuple[jax.Array, jax.Array]:
    slopes = jax.jacfwd(lambda t: chart.position(t, points))(theta)
    return chart.position(theta, points), slopes


@functools.partial(jax.jit, static_argnames="objective")
def _sensitivity(objective: Objective, theta: Any, data: Data) -> jax.Array:
    """Return d residual / d log coefficient, [n, p]; of one of either sign by itself."""
    chart, zero = objective.chart, jnp.zeros_like(data.points.centre_x)
    points = data.points._replace(centre_x=zero, centre_y=zero)
    law = chart.law(theta, points)  # N and D counted about the centre
    values = coefficients(law)

    def predictions(changes: jax.Array) -> jax.Array:
        pairs = zip(chart.domains.items(), changes, strict=True)
        moved = {
            name: values[name] + change
            if domain.contains(-1.0)
            else values[name] * jnp.exp(change)
            for (name, domain), change in pairs
        }
        loss = with_coefficients(law, moved).loss_at_log(points.x, points.y, **points.axes)
        return data.precision * (jnp.log(loss) if objective.residual == "log" else loss)

    return jax.jacfwd(predictions)(jnp.zeros(chart.size))
