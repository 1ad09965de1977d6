"""What a fit minimises.

    F(theta) = sum over runs of  w_i Huber_delta(c_i (prediction_i - target_i))

with predictions and targets as log losses (the paper's objective, equation 4) or as losses,
w_i the run's weight and c_i = sigma / sigma_i its precision relative to the runs'.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.fitting.charts import Chart, Design

Residual = Literal["log", "loss"]


class Objective(NamedTuple):
    """The part of the objective that fixes the program: the chart and the kind of residual."""

    chart: Chart
    residual: Residual


class Data(NamedTuple):
    """The runs as the objective sees them; every leaf is [n] but the means of the design."""

    design: Design
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


def predictions(objective: Objective, theta: jax.Array, design: Design) -> jax.Array:
    """Return what is compared with the targets, [n]."""
    log_loss = objective.chart.log_loss(theta, design)
    return log_loss if objective.residual == "log" else jnp.exp(log_loss)


def residuals(objective: Objective, theta: jax.Array, data: Data) -> jax.Array:
    """Return c_i (prediction_i - target_i), [n]."""
    return data.precision * (predictions(objective, theta, data.design) - data.target)


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
    chart, design = objective.chart, data.design
    terms = chart.terms(theta)
    log_loss, slopes = chart.log_loss_at(terms, design), chart.slopes(terms, design)
    loss = jnp.exp(log_loss) if objective.residual == "loss" else 1.0
    rows = slopes * (data.precision * loss)[None, :]
    r = data.precision * ((log_loss if objective.residual == "log" else loss) - data.target)
    force = data.weight * _psi(r, delta)
    inside = jnp.where(jnp.abs(r) <= delta, data.weight, 0.0)
    share = data.weight * jnp.minimum(1.0, delta / jnp.maximum(jnp.abs(r), 1e-300))
    # d2 log L = d2 L / L - (d log L) (d log L)^T, of which the latter joins the rows.
    curved = inside - force / data.precision if objective.residual == "log" else inside
    bend = chart.bend(terms, design, force * data.precision * loss)
    chain = jax.jacfwd(chart.terms)(theta)
    push = rows @ force
    fold = jax.hessian(lambda t: push @ chart.terms(t))(theta)
    return Model(
        value=jnp.sum(data.weight * huber(r, delta)),
        gradient=chain.T @ push,
        hessian=chain.T @ ((rows * curved[None, :]) @ rows.T + bend) @ chain + fold,
        gauss=chain.T @ ((rows * share[None, :]) @ rows.T) @ chain,
    )


def value(
    objective: Objective, theta: jax.Array, data: Data, delta: jax.Array | float
) -> jax.Array:
    """Return F(theta)."""
    return jnp.sum(data.weight * huber(residuals(objective, theta, data), delta))
