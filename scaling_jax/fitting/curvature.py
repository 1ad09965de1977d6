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

from scaling_jax._pytree import FRACTION, NON_NEGATIVE, POSITIVE, Domain
from scaling_jax.fitting.charts import Chart, Design
from scaling_jax.fitting.objective import Data, Objective
from scaling_jax.fitting.optimum import residual_slopes, scaled_residuals
from scaling_jax.fitting.power import PowerChart
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.resampling import student_quantile


class Curvature(NamedTuple):
    """Everything local that the diagnostics need.

    `noise` is s, and `dispersion` the scale by which twice the rise of the objective is
    distributed as chi-squared: E[psi^2] / E[psi']. `spectrum` [p] holds the singular values
    of the weighted, scaled residuals' derivatives with respect to the logarithms of the
    coefficients, N and D in units of their geometric means; `directions` [p, p] the
    combinations of coefficients that belong to them, in rows; `leverage` [n].
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
            low, high = np.exp(ends) if marginal.domain is POSITIVE else ends
        if marginal.domain in (NON_NEGATIVE, FRACTION):
            low = max(low, 0.0)
        if marginal.domain is FRACTION:
            high = min(high, 1.0)
        result[marginal.name] = (float(low), float(high))
    return result


class Marginal(NamedTuple):
    """One coefficient by itself: its position (a logarithm where positive) and error."""

    name: str
    domain: Domain | None
    position: float
    error: float


def marginals(problem: Problem, theta: np.ndarray, noise: float) -> list[Marginal]:
    """Return each coefficient's standard error, from the curvature."""
    count, chart = len(problem.runs), problem.chart
    rows = np.asarray(residual_slopes(problem.objective, theta, problem.data))[:count]
    rows = np.nan_to_num(rows)
    fisher = (rows.T * problem.data.weight[:count]) @ rows
    sizes, vectors = np.linalg.eigh(fisher)
    # A direction that the runs do not see at all has a huge error, not none.
    inverse = (vectors / np.maximum(sizes, 1e-16 * sizes[-1])) @ vectors.T
    positions, slopes = _positions(chart, theta, problem.data.design)
    errors = noise * np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", slopes, inverse, slopes), 0))
    columns = zip(chart.names, chart.domains, np.asarray(positions), errors, strict=True)
    return [Marginal(n, d, float(position), float(e)) for n, d, position, e in columns]


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
        bend = inside * min(1.0, problem.delta / max(band, 1e-300))
    else:
        bend = float(np.mean(np.abs(r) <= problem.delta))
    bend = max(bend, 1e-300)
    return float(np.sqrt(square) / bend), float(square / bend)


def _kernel_width(r: np.ndarray) -> float:
    """Return Silverman's width of a density estimate."""
    low, high = np.quantile(r, [0.25, 0.75])
    return 1.06 * min(r.std(), (high - low) / 1.349) * len(r) ** -0.2


@functools.partial(jax.jit, static_argnames="chart")
def _positions(chart: Chart, theta: Any, design: Design) -> tuple[jax.Array, jax.Array]:
    slopes = jax.jacfwd(lambda t: chart.position(t, design))(theta)
    return chart.position(theta, design), slopes


@functools.partial(jax.jit, static_argnames="objective")
def _sensitivity(objective: Objective, theta: Any, data: Data) -> jax.Array:
    """Return d residual / d log coefficient, [n, p]."""
    chart, design = objective.chart, data.design
    if isinstance(chart, PowerChart):
        zero = jnp.zeros_like(design.mean_x)
        design = design._replace(mean_x=zero, mean_y=zero)
    law = chart.law(theta, design)
    params, tokens = jnp.exp(design.x + design.mean_x), jnp.exp(design.y + design.mean_y)

    def predictions(logs: jax.Array) -> jax.Array:
        scaled = {
            name: getattr(law, name) * jnp.exp(log)
            for name, log in zip(chart.names, logs, strict=True)
        }
        loss = chart.family(**scaled).loss(params, tokens)
        return data.precision * (jnp.log(loss) if objective.residual == "log" else loss)

    return jax.jacfwd(predictions)(jnp.zeros(chart.size))
