"""From a table of runs to a problem that the descent can take, or a refusal."""

import dataclasses
import functools
import inspect
import math
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._axes import law_axes
from scaling_jax._errors import Refusal
from scaling_jax._pytree import Record
from scaling_jax.fitting.charts import Chart, LawChart
from scaling_jax.fitting.objective import Data, Objective, Residual
from scaling_jax.fitting.power import BY_HAND, PowerChart
from scaling_jax.fitting.units import blocks, in_plain_units, placed, plain_points
from scaling_jax.laws import Chinchilla, Law
from scaling_jax.runs import Runs

# Data are padded, so that subsets of one table share a compiled program: to 64 at least, and
# beyond in steps of 6 to 12 %.
_SMALLEST_LENGTH = 64
_LAWS = 64  # in one call


class Problem(NamedTuple):
    """A fit that is fully specified; arrays are padded with a run of weight zero."""

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

    def plain(self, theta: np.ndarray) -> tuple["Problem", np.ndarray]:
        """Return the same problem and point with N, D and axes counted in plain units.

        Under `jax.enable_x64(True)`; a chart made by hand counts in them at once.
        """
        if not isinstance(self.chart, LawChart):
            return self, theta
        points = jax.tree.map(np.asarray, plain_points(self.data.points))
        plain = self._replace(data=self.data._replace(points=points))
        return plain, in_plain_units(self.chart, theta[None, :], self.data.points)[0]

    def laws(self, thetas: np.ndarray) -> Law:
        """Return the laws at many points, stacked, in plain units."""
        chart, points = self.chart, self.data.points
        if isinstance(chart, LawChart):
            thetas = in_plain_units(chart, thetas, points)
        parts = [_laws(chart, block, points) for block in blocks(thetas, _LAWS)]
        laws = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(thetas)], *parts)
        return chart.held(laws)


@functools.partial(jax.jit, static_argnames="chart")
def _laws(chart: Chart, thetas: Any, points: Any) -> Law:
    return jax.vmap(lambda theta: chart.law(theta, points))(thetas)


def template_of(family: type[Law] | Law) -> Law:
    """Return a law of a family, each coefficient one: what its charts are made from.

    Raises:
        ValueError: the family does not say of which laws it is made.
    """
    if isinstance(family, Law):
        return jax.tree.map(lambda _: 1.0, family)
    if not (inspect.isclass(family) and issubclass(family, Law)) or inspect.isabstract(family):
        raise Refusal(f"family is {family!r}; it must be a Law, such as Chinchilla")
    hints = typing.get_type_hints(family)
    parts = {field.name: _part(family, field, hints) for field in dataclasses.fields(family)}
    return family(**parts)


def _part(family: type[Law], field: Any, hints: Mapping[str, Any]) -> Any:
    """Return what the template has in a field."""
    hint = hints[field.name]
    if typing.get_origin(hint) is tuple or (
        inspect.isclass(hint) and issubclass(hint, Record) and not issubclass(hint, Law)
    ):
        raise Refusal(
            f"{family.__name__} does not say how many numbers or laws its {field.name} has; "
            f"fit a law, {family.__name__}(…), in place of the family"
        )
    if inspect.isclass(hint) and issubclass(hint, Law):
        # Of what any law may stand in, the best known one does.
        return template_of(Chinchilla if inspect.isabstract(hint) else hint)
    return None if field.default is None else 1.0


def chart_of(template: Law) -> Chart:
    """Return the chart of a law's family, one object for all: programs are compiled by it."""
    return _chart(jax.tree.structure(template))


@functools.cache
def _chart(structure: Any) -> Chart:
    template = jax.tree.unflatten(structure, [1.0] * structure.num_leaves)
    return BY_HAND.get(type(template)) or LawChart(template)


def prepare(runs: Runs, template: Law, delta: float | None, residual: Residual) -> Problem:
    """Return the problem of fitting the family of a law to runs.

    Raises:
        ValueError: the runs cannot fix the family's coefficients, or an option is wrong.
    """
    if residual not in ("log", "loss"):
        raise Refusal(f"residual is {residual!r}; it must be 'log' or 'loss'")
    if delta is not None and not delta > 0:
        raise Refusal(f"delta is {delta:g}; it must be positive (infinite: squared error)")
    chart = chart_of(template)
    axes = _axes(runs, template)
    _check_runs(runs, chart, axes)
    objective = Objective(chart=chart, residual=residual)
    data = _data(runs, chart, axes, residual)
    return Problem(objective, data, math.inf if delta is None else delta, runs)


def pad(column: np.ndarray, fill: float, length: int) -> np.ndarray:
    """Return the column lengthened along its last axis."""
    extra = [(0, 0)] * (column.ndim - 1) + [(0, length - column.shape[-1])]
    return np.pad(column, extra, constant_values=fill)


def padded_length(count: int) -> int:
    """Return the length to which a table of so many runs is padded."""
    step = max(1 << (count - 1).bit_length() >> 4, 8)
    return max(_SMALLEST_LENGTH, -(-count // step) * step)


def observations(
    loss: Any, sigma: Any, counted: Any, residual: Residual
) -> tuple[jax.Array, jax.Array]:
    """Return targets and precisions c_i, of the runs counted about a geometric mean of one."""
    target = jnp.log(loss) if residual == "log" else jnp.asarray(loss)
    if sigma is None:
        return target, jnp.ones_like(target)
    log_error = jnp.log(sigma) - (target if residual == "log" else 0.0)
    counts = jnp.asarray(counted).astype(log_error.dtype)
    mean = jnp.sum(jnp.where(counted, log_error, 0.0)) / jnp.maximum(jnp.sum(counts), 1.0)
    return target, jnp.exp(mean - log_error)


def _axes(runs: Runs, template: Law) -> dict[str, np.ndarray]:
    """Return the columns that the law reads, by its own names."""
    read = law_axes(template)
    for name in read.required:
        if name not in runs:
            raise Refusal(
                f"{type(template).__name__} reads {name!r}, of which the runs have no column; "
                f"they have {', '.join(runs.columns)}"
            )
    return {name: runs[name] for name in read.names if name in runs}


def _data(runs: Runs, chart: Chart, axes: Mapping[str, np.ndarray], residual: Residual) -> Data:
    weight = np.ones(len(runs)) if runs.weight is None else runs.weight
    seen = observations(runs.loss, runs.sigma, weight > 0, residual)
    target, precision = map(np.asarray, seen)
    length = padded_length(len(runs))
    # What pads is a run like any other: a zero would be no bits, no tokens.
    rows = pad(np.arange(len(runs)), int(np.argmax(weight > 0)), length)
    return Data(
        points=placed(chart, runs.params, runs.tokens, axes).at(rows),
        target=target[rows],
        weight=pad(weight, 0.0, length),
        precision=precision[rows],
    )


def _check_runs(runs: Runs, chart: Chart, axes: Mapping[str, np.ndarray]) -> None:
    own = {name: runs.columns.get(name) for name in ("params", "tokens", "loss", "sigma")}
    for name, column in own.items():
        if column is not None:
            _check_column(name, column, column > 0, "positive")
    if runs.weight is not None:
        _check_column("weight", runs.weight, runs.weight >= 0, "zero or more")
    for name, column in axes.items():
        if column.dtype.kind != "f":
            raise Refusal(f"{chart.family} reads {name}, which is text; it must be numbers")
        _check_column(name, column, np.isfinite(column), "a number")
    used = runs if runs.weight is None else runs.where(runs.weight > 0)
    _check_count(used, chart, axes)
    if np.ptp(np.log(used.loss)) < 1e-9:
        raise Refusal(
            f"all {len(used)} runs have loss {used.loss[0]:.6g}; a law needs runs of "
            "different losses"
        )
    if isinstance(chart, PowerChart):
        for name in ("params", "tokens"):
            values = used[name]
            if np.ptp(np.log(values)) < 1e-3:
                raise Refusal(
                    f"all {len(used)} runs have {name} {values[0]:.4g}; a law of params and "
                    f"tokens needs runs of at least two different {name}"
                )


def _check_column(name: str, column: np.ndarray, sound: np.ndarray, words: str) -> None:
    bad = np.flatnonzero(~(sound & np.isfinite(column)))
    if bad.size:
        raise Refusal(
            f"run {bad[0] + 1} has {name} {column[bad[0]]:g}; it must be {words} and finite"
        )


def _check_count(used: Runs, chart: Chart, axes: Mapping[str, np.ndarray]) -> None:
    if len(used) < chart.size:
        raise Refusal(
            f"{len(used)} runs cannot fix the {chart.size} coefficients of {chart.family}; "
            f"give at least {chart.size}, better twice as many"
        )
    read = [np.log(used.params), np.log(used.tokens), *(used[name] for name in axes)]
    points = np.unique([_rounded(column) for column in read], axis=1).shape[1]
    if points < chart.size:
        raise Refusal(
            f"the {len(used)} runs are at only {points} different points "
            f"({', '.join(('params', 'tokens', *axes))}), which cannot fix the {chart.size} "
            f"coefficients of {chart.family}; give at least {chart.size}"
        )


def _rounded(column: np.ndarray) -> np.ndarray:
    """Return a column in which what is one but for rounding is equal."""
    size = np.abs(column).max() or 1.0
    return np.round(column / size, 8)
