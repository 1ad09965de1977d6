"""From a table of runs to a problem that the descent can take, or a refusal."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.fitting.charts import Chart, Design, LawChart
from scaling_jax.fitting.objective import Data, Objective, Residual
from scaling_jax.fitting.power import CHINCHILLA, COUPLED, KAPLAN, TIED, PowerChart
from scaling_jax.laws import Law
from scaling_jax.runs import Runs

# Data are padded, so that subsets of one table share a compiled program: to 64 at least, and
# beyond in steps of 6 to 12 %.
_SMALLEST_LENGTH = 64


class Problem(NamedTuple):
    """A fit that is fully specified; arrays are padded with runs of weight zero."""

    objective: Objective
    data: Data
    delta: float
    runs: Runs

    @property
    def chart(self) -> Chart:
        """The coordinates of the family."""
        return self.objective.chart

    @property
    def counted(self) -> np.ndarray:
        """Which runs have a weight."""
        return self.data.weight[: len(self.runs)] > 0

    @property
    def degrees_of_freedom(self) -> int:
        """Runs that have a weight, less coefficients."""
        return int(self.counted.sum()) - self.chart.size


@functools.cache
def chart_of(family: type[Law]) -> Chart:
    """Return the chart of a family: one object per family, as compiled programs know it."""
    for chart in (CHINCHILLA, TIED, COUPLED, KAPLAN):
        if chart.family is family:
            return chart
    return LawChart(family)


def prepare(runs: Runs, family: type[Law], delta: float | None, residual: Residual) -> Problem:
    """Return the problem of fitting a family to runs.

    Raises:
        ValueError: the runs cannot fix the family's coefficients, or an option is wrong.
    """
    if residual not in ("log", "loss"):
        raise ValueError(f"residual is {residual!r}; it must be 'log' or 'loss'")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta is {delta:g}; it must be positive (infinite: squared error)")
    chart = chart_of(family)
    _check_runs(runs, chart)
    objective = Objective(chart=chart, residual=residual)
    return Problem(objective, _data(runs, residual), math.inf if delta is None else delta, runs)


def pad(column: np.ndarray, fill: float, length: int) -> np.ndarray:
    """Return the column lengthened along its last axis."""
    extra = [(0, 0)] * (column.ndim - 1) + [(0, length - column.shape[-1])]
    return np.pad(column, extra, constant_values=fill)


def padded_length(count: int) -> int:
    """Return the length to which a table of so many runs is padded."""
    step = max(1 << (count - 1).bit_length() >> 4, 8)
    return max(_SMALLEST_LENGTH, -(-count // step) * step)


def observations(
    loss: Any, sigma: Any, counted: np.ndarray, residual: Residual
) -> tuple[jax.Array, jax.Array]:
    """Return targets and precisions c_i, of the runs counted about a geometric mean of one."""
    target = jnp.log(loss) if residual == "log" else jnp.asarray(loss)
    if sigma is None:
        return target, jnp.ones_like(target)
    log_error = jnp.log(sigma) - (target if residual == "log" else 0.0)
    return target, jnp.exp(jnp.mean(log_error[counted]) - log_error)


def _data(runs: Runs, residual: Residual) -> Data:
    x, y = np.log(runs.params), np.log(runs.tokens)
    weight = np.ones(len(runs)) if runs.weight is None else runs.weight
    seen = observations(runs.loss, runs.sigma, weight > 0, residual)
    target, precision = map(np.asarray, seen)
    length = padded_length(len(runs))
    design = Design(
        x=pad(x - x.mean(), 0.0, length),
        y=pad(y - y.mean(), 0.0, length),
        mean_x=x.mean(),
        mean_y=y.mean(),
    )
    return Data(
        design=design,
        target=pad(target, float(np.median(target)), length),
        weight=pad(weight, 0.0, length),
        precision=pad(precision, 1.0, length),
    )


def _check_runs(runs: Runs, chart: Chart) -> None:
    for name, column in vars(runs).items():
        if column is None or name == "group":
            continue
        floor = column >= 0 if name == "weight" else column > 0
        bad = np.flatnonzero(~(floor & np.isfinite(column)))
        if bad.size:
            words = "zero or more" if name == "weight" else "positive"
            raise ValueError(
                f"run {bad[0] + 1} has {name} {column[bad[0]]:g}; it must be {words} and finite"
            )
    used = runs if runs.weight is None else runs.where(runs.weight > 0)
    _check_count(used, chart)
    if np.ptp(np.log(used.loss)) < 1e-9:
        raise ValueError(
            f"all {len(used)} runs have loss {used.loss[0]:.6g}; a law needs runs of "
            "different losses"
        )
    if isinstance(chart, PowerChart):
        for name in ("params", "tokens"):
            values = getattr(used, name)
            if np.ptp(np.log(values)) < 1e-3:
                raise ValueError(
                    f"all {len(used)} runs have {name} {values[0]:.4g}; a law of params and "
                    f"tokens needs runs of at least two different {name}"
                )


def _check_count(used: Runs, chart: Chart) -> None:
    family, size = chart.family.__name__, chart.size
    if len(used) < size:
        raise ValueError(
            f"{len(used)} runs cannot fix the {size} coefficients of {family}; "
            f"give at least {size}, better twice as many"
        )
    points = np.unique(np.round(np.log([used.params, used.tokens]), 6), axis=1).shape[1]
    if points < size:
        raise ValueError(
            f"the {len(used)} runs are at only {points} different points (params, tokens), "
            f"which cannot fix the {size} coefficients of {family}; give at least {size}"
        )
