"""What a fit minimises.

    F(theta) = sum over runs of  w_i Huber_delta(c_i (prediction_i - target_i))

with predictions and targets as log losses (the paper's objective, equation 4) or as losses,
w_i the run's weight and c_i = sigma / sigma_i its precision relative to the runs'.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.fitting.charts import Chart, Points

Residual = Literal["log", "loss"]


class Objective(NamedTuple):
    """The part of the objective that fixes the program: the chart and the kind of residual."""

    chart: Chart
    residual: Residual


class Data(NamedTuple):
    """The runs as the objective sees them; every leaf is [n] but the centre of the points."""

    points: Points
    target: Any
    weight: Any
    precision: Any


def huber(residual: jax.Array, delta: jax.Array | float) -> jax.Array:
    """Return r^2 / 2 up to |r| = delta and delta (|r| - delta / 2) beyond.

    An infinite delta gives half the squared error.
    """
    slope = _psi(residual, delta)
    return slope * (residual - slope / 2)


def _psi(residual: jax.Array, delta: jax.Array | float) -> jax.Array:
    """Return Huber's slope, r between -delta and delta."""
    # Not `clip`: XLA then evaluates the logarithm in the residual one number at a time.
    return -jnp.minimum(-jnp.minimum(residual, delta), delta)


def predictions(objective: Objective, theta: jax.Array, points: Points) -> jax.Array:
    """Return what is compared with the targets, [n]."""
    log_loss = objective.chart.log_loss(theta, points)
    return log_loss if objective.residual == "log" else jnp.exp(log_loss)


def residuals(objective: Objective, theta: jax.Array, data: Data) -> jax.Array:
    """Return c_i (prediction_i - target_i), [n]."""
    return data.precision * (predictions(objective, theta, data.points) - data.target)


class Model(NamedTuple):
    """F near theta: its value, gradient [p], Hessian, and the Gauss-Newton matrix [p, p].

    The Gauss-Newton matrix J^T W J weighs every run with psi(r) / r, so that it bounds the
    objective from above but for the curvature of the predictions.
    """

    value: jax.Array
    gradient: jax.Array
    hessian: jax.Array
    gauss: jax.Array


def model(objective: Objective, theta: jax.Array, data: Data, delta: jax.Array) -> Model:
    """Return the derivatives of F: those in the chart's terms, then the chain rule.

    All that is long, a number for every run, is in the terms, in which L is simple.
    """
    chart, points = objective.chart, data.points
    terms = chart.terms(theta)
    log_loss, slopes = chart.log_loss_at(terms, points), chart.slopes(terms, points)
    loss = jnp.exp(log_loss) if objective.residual == "loss" else 1.0
    rows = slopes * (data.precision * loss)[None, :]
    r = data.precision * ((log_loss if objective.residual == "log" else loss) - data.target)
    force = data.weight * _psi(r, delta)
    inside = jnp.where(jnp.abs(r) <= delta, data.weight, 0.0)
    share = data.weight * jnp.minimum(1.0, delta / jnp.maximum(jnp.abs(r), 1e-300))
    # d2 log L = d2 L / L - (d log L) (d log L)^T, of which the latter joins the rows.
    row_weights = inside - force / data.precision if objective.residual == "log" else inside
    curvature = chart.contracted_hessian(terms, points, force * data.precision * loss)
    gradient = rows @ force
    hessian = _weighted(rows, row_weights) + curvature
    gauss = _weighted(rows, share)
    if not chart.straight:  # whose terms are the coordinates themselves
        return Model(jnp.sum(data.weight * huber(r, delta)), gradient, hessian, gauss)
    chain = jax.jacfwd(chart.terms)(theta)
    by_chain = jax.hessian(lambda t: gradient @ chart.terms(t))(theta)
    return Model(
        value=jnp.sum(data.weight * huber(r, delta)),
        gradient=chain.T @ gradient,
        hessian=chain.T @ hessian @ chain + by_chain,
        gauss=chain.T @ gauss @ chain,
    )


def _weighted(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """Return R diag(w) R^T."""
    return (rows * weights[None, :]) @ rows.T


def acceleration_forces(
    objective: Objective, theta: jax.Array, data: Data, delta: jax.Array, step: jax.Array
) -> jax.Array:
    """Return J^T W r'', with r'' the second derivative of the residuals along a step, [p].

    Half of it, solved with the Gauss-Newton matrix, bends the step into the curved valley:
    to second order it then is the same in any coordinates. Source: Transtrum and Sethna,
    "Improvements to the Levenberg-Marquardt algorithm" (arXiv 1201.5885), section 3.
    """

    def at(t: jax.Array) -> jax.Array:
        return residuals(objective, t, data)

    def along(t: jax.Array) -> jax.Array:
        return jax.jvp(at, (t,), (step,))[1]

    second = jax.jvp(along, (theta,), (step,))[1]
    r, back = jax.vjp(at, theta)
    share = data.weight * jnp.minimum(1.0, delta / jnp.maximum(jnp.abs(r), 1e-300))
    return back(share * second)[0]


def value(
    objective: Objective, theta: jax.Array, data: Data, delta: jax.Array | float
) -> jax.Array:
    """Return F(theta)."""
    return jnp.sum(data.weight * huber(residuals(objective, theta, data), delta))
