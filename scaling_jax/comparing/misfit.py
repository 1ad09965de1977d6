"""Does a family follow the runs that it was fitted to: a test of what it leaves over.

At the fit, log L_i = prediction_i + J_i dtheta + Z_i g + noise, with J the derivatives of the
log losses in the coefficients and Z the second-order terms x^2, x y, y^2 of x = log N and
y = log D. What J could follow is projected out of residuals and of Z; if the family is right
then g = 0, and

    F = (|P_Z r|^2 / q) / (|r - P_Z r|^2 / (n - p - q))

has Fisher's distribution. Runs that neither J nor Z bring within four robust standard
deviations are left out first, so that one bad run rejects no family and hides none. Source:
Davidson and MacKinnon, "Model specification tests based on artificial linear regressions",
International Economic Review 25 (1984).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import coefficients, with_coefficients
from scaling_jax.fitting.objective import Data, Objective
from scaling_jax.fitting.optimum import scaled_residuals
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.records import Fit

_BAD = 4.0  # robust standard deviations
_ROUNDS = 10
# A normal standard deviation over the median of absolute values.
_PER_MEDIAN = 1.482602
# Directions of which the family leaves less than this share are its own.
_OWN = 1e-6
_DEPENDENT = 1e-9
# Residuals that are rounding error.
_NOTHING = 1e-10


class Misfit(NamedTuple):
    """A test of whether a family follows its runs.

    Attributes:
        statistic: F; NaN where nothing can be tested.
        p_value: how often runs that do follow the family would look as bad; NaN likewise.
        terms: q, the second-order terms that the family does not have itself.
        freedom: n - p - q.
    """

    statistic: float
    p_value: float
    terms: int
    freedom: int


def lack_of_fit(fitted: Fit) -> Misfit:
    """Return the test of whether the runs of a fit follow its family.

    Example:
        >>> from scaling_jax.fitting import fit
        >>> from scaling_jax.laws import Chinchilla, Coupled
        >>> params = np.repeat(np.geomspace(1e8, 1e10, 5), 5)
        >>> tokens = params * np.tile(np.geomspace(10.0, 1000.0, 5), 5)
        >>> truth = Coupled(E=1.5, A=5e3, alpha=0.45, B=3e4, beta=0.45, k=0.5)
        >>> noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(25))
        >>> loss = np.asarray(truth(params, tokens)) * noise
        >>> runs = {"params": params, "tokens": tokens, "loss": loss}
        >>> [lack_of_fit(fit(runs, each)).p_value < 0.05 for each in (Coupled, Chinchilla)]
        [False, True]
    """
    with jax.enable_x64(True):
        return misfit_at(fitted.problem, fitted.theta)


def misfit_at(problem: Problem, theta: np.ndarray) -> Misfit:
    """Return the test at an optimum; call it under `jax.enable_x64(True)`."""
    residuals = scaled_residuals(problem, theta)
    rows = np.asarray(_slopes(problem.objective, theta, problem.data))[: len(residuals)]
    slopes = np.where(np.isfinite(rows).all(axis=0), rows, 0.0)
    counted = problem.counted
    weight = np.sqrt(problem.data.weight[: len(residuals)][counted])
    r = residuals[counted] * weight
    terms = _second_order(problem)[counted] * weight[:, None]
    slopes = slopes[counted] * weight[:, None]
    return _tested(*_without_bad_runs(r, slopes, terms))


def _tested(r: np.ndarray, slopes: np.ndarray, terms: np.ndarray) -> Misfit:
    own, further = _bases(slopes, terms)
    q = further.shape[1]
    freedom = len(r) - own.shape[1] - q
    if not q or freedom < 1:
        return Misfit(np.nan, np.nan, q, max(freedom, 0))
    explained = float(np.sum((further.T @ r) ** 2)) / q
    rest = float(np.sum(_rest(r, own, further) ** 2)) / freedom
    if explained + rest < _NOTHING**2:
        return Misfit(0.0, 1.0, q, freedom)
    statistic = explained / max(rest, 1e-300)
    return Misfit(statistic, fisher_tail(statistic, q, freedom), q, freedom)


def _bases(slopes: np.ndarray, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal bases of the family's directions, and of what the terms add."""
    own = _span(slopes, _DEPENDENT)
    size = np.linalg.norm(terms, axis=0)
    left = (terms - own @ (own.T @ terms)) / np.where(size > 0, size, 1.0)
    return own, _span(left, _OWN, scale=1.0)


def _rest(r: np.ndarray, own: np.ndarray, further: np.ndarray) -> np.ndarray:
    return r - own @ (own.T @ r) - further @ (further.T @ r)


def _without_bad_runs(
    r: np.ndarray, slopes: np.ndarray, terms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals, slopes and terms without the runs that neither explains."""
    directions = np.concatenate(_bases(slopes, terms), axis=1)
    kept = np.ones(len(r), bool)
    free = np.sqrt(len(r) / max(len(r) - directions.shape[1], 1))
    for _ in range(_ROUNDS):
        found = np.linalg.lstsq(directions[kept], r[kept], rcond=None)[0]
        rest = np.abs(r - directions @ found)
        now = rest <= _BAD * _PER_MEDIAN * free * np.median(rest[kept]) + _NOTHING
        if (now == kept).all():
            break
        kept = now
    return r[kept], slopes[kept], terms[kept]


@functools.partial(jax.jit, static_argnames="objective")
def _slopes(objective: Objective, theta: Any, data: Data) -> jax.Array:
    """Return d residual / d coefficient, [n, p].

    Not in the coordinates, which stand still at a bound: a floor of zero might be a larger one.
    """
    chart, zero = objective.chart, jnp.zeros_like(data.points.centre_x)
    law = chart.law(theta, data.points._replace(centre_x=zero, centre_y=zero))
    values = coefficients(law)
    points = data.points

    def predictions(changes: jax.Array) -> jax.Array:
        moved = {name: values[name] + x for name, x in zip(values, changes, strict=True)}
        other = with_coefficients(law, moved)
        loss = other.loss_at_log(points.x, points.y, **points.axes)
        return data.precision * (jnp.log(loss) if objective.residual == "log" else loss)

    return jax.jacfwd(predictions)(jnp.zeros(chart.size))


def fisher_tail(statistic: float, first: int, second: int) -> float:
    """Return the chance that Fisher's F exceeds a value.

    Example:
        >>> f"{fisher_tail(3.0, 3, 39):.4f}"
        '0.0421'
    """
    with jax.enable_x64(True):
        share = second / (second + first * statistic)
        return float(jax.scipy.special.betainc(second / 2, first / 2, jnp.asarray(share)))


def _second_order(problem: Problem) -> np.ndarray:
    """Return x^2, x y, y^2 of each run, [n, 3], x and y counted about their means."""
    runs = problem.runs
    x, y = (np.log(column) for column in (runs.params, runs.tokens))
    x, y = x - x[problem.counted].mean(), y - y[problem.counted].mean()
    # The scaled residuals are of log losses, or of losses, times a precision each.
    precision = problem.data.precision[: len(runs)]
    scale = precision if problem.objective.residual == "log" else precision * runs.loss
    return np.stack([x * x, x * y, y * y], axis=1) * scale[:, None]


def _span(columns: np.ndarray, share: float, scale: float | None = None) -> np.ndarray:
    """Return an orthonormal basis of columns, less what is no larger than a share."""
    lengths = np.linalg.norm(columns, axis=0)
    even = columns if scale is not None else columns / np.where(lengths > 0, lengths, 1.0)
    basis, spectrum, _ = np.linalg.svd(even, full_matrices=False)
    most = spectrum[0] if scale is None and spectrum.size else scale
    return basis[:, spectrum > share * (most or 1.0)]
