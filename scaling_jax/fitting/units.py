"""Units of N, D and further axes: those of the runs' geometric means, where a law takes them.

A family takes up a change of units if it has, for every law, another one that says of N / c
what the first says of N: A' = A c^-alpha in A / N^alpha. So counted, levels are near one and
hardly trade off against exponents, and a fit is as sure in these units as ours are in their
charts. Which units a family takes up, alone or several together, is found out: a change of
units must move the losses as some change of the coefficients does. Where a family takes up
none (Farseer's D), its own units remain.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.fitting.charts import Chart, LawChart, Points, is_positive
from scaling_jax.fitting.draws import plausible

_TRIALS = 6
_MOST_ROWS = 64
# A response to other units that no coefficients give, as a share of it all.
_TAKEN_UP = 1e-7
_DEPENDENT = 1e-11
# Steps of the way back to plain units, where one is not enough, and what is.
_STEPS = (16, 256)
_BLOCK = 32  # points in one call
_EQUAL = 1e-10


def placed(
    chart: Chart, params: np.ndarray, tokens: np.ndarray, axes: Mapping[str, np.ndarray]
) -> Points:
    """Return the points of runs, in the units that suit the chart."""
    logs = {"params": np.log(params), "tokens": np.log(tokens)}
    logs |= {name: np.log(axis) for name, axis in axes.items() if np.all(axis > 0)}
    means = {name: float(column.mean()) for name, column in logs.items()}
    if isinstance(chart, LawChart):
        means = dict(zip(means, _taken_up(chart, logs, axes, means), strict=True))
    return Points(
        x=logs["params"] - means["params"],
        y=logs["tokens"] - means["tokens"],
        centre_x=means["params"],
        centre_y=means["tokens"],
        axes={name: axis * np.exp(-means.get(name, 0.0)) for name, axis in axes.items()},
        units={name: means.get(name, 0.0) for name in axes},
    )


def _taken_up(
    chart: LawChart,
    logs: Mapping[str, np.ndarray],
    axes: Mapping[str, np.ndarray],
    means: Mapping[str, float],
) -> np.ndarray:
    """Return the logarithms of units, as near to the means as the family takes them up."""
    rows = np.linspace(0, len(logs["params"]) - 1, _MOST_ROWS).astype(int)
    columns = np.stack([logs[name][rows] - means[name] for name in logs])
    others = {name: axis[rows] for name, axis in axes.items() if name not in logs}
    values = plausible(chart, np.random.default_rng(0), _TRIALS, most=1.0)
    rest = []
    parts = _responses(chart, tuple(logs), values, columns, others)
    for slopes, responses in zip(*map(np.asarray, parts), strict=True):
        size = np.linalg.norm(responses)
        if np.isfinite(size) and np.isfinite(slopes).all() and size > 0:
            left, spectrum, _ = np.linalg.svd(slopes, full_matrices=False)
            left = left[:, spectrum > _DEPENDENT * spectrum[0]]
            rest.append((responses - left @ (left.T @ responses)) / size)
    if not rest:
        return np.zeros(len(logs))
    _, spectrum, directions = np.linalg.svd(np.concatenate(rest))
    free = directions[spectrum < _TAKEN_UP]
    return free.T @ (free @ np.array(list(means.values())))


@functools.partial(jax.jit, static_argnames=("chart", "names"))
def _responses(
    chart: LawChart, names: tuple[str, ...], values: Any, columns: Any, others: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the slopes of log L in coordinates and in log units, [m, n, p] and [m, n, q]."""

    def log_loss(theta: jax.Array, shift: jax.Array) -> jax.Array:
        moved = dict(zip(names, columns + shift[:, None], strict=True))
        x, y = moved.pop("params"), moved.pop("tokens")
        axes = others | {name: jnp.exp(column) for name, column in moved.items()}
        return chart.log_loss(theta, Points(x, y, 0.0, 0.0, axes, {}))

    def one(c: jax.Array) -> tuple[jax.Array, jax.Array]:
        pairs = zip(chart.coordinate_domains, c, strict=True)
        theta = jnp.stack([jnp.asarray(domain.to_real(x)) for domain, x in pairs])
        return jax.jacfwd(log_loss, argnums=(0, 1))(theta, jnp.zeros(len(names)))

    return jax.lax.map(one, values)


def plain_points(points: Points, share: Any = 1.0) -> Points:
    """Return the points so much nearer to plain units; at 1 they are plain."""
    return Points(
        x=points.x + share * points.centre_x,
        y=points.y + share * points.centre_y,
        centre_x=(1 - share) * points.centre_x,
        centre_y=(1 - share) * points.centre_y,
        axes={
            name: axis * jnp.exp(share * points.units[name])
            for name, axis in points.axes.items()
        },
        units={name: (1 - share) * unit for name, unit in points.units.items()},
    )


def in_plain_units(chart: LawChart, thetas: np.ndarray, points: Points) -> np.ndarray:
    """Return the coordinates of the same laws in plain units, [m, p].

    The way there is followed: at each step the coefficients move so that no loss does.
    """
    units = (points.centre_x, points.centre_y, *points.units.values())
    if not any(np.any(unit) for unit in units):
        return thetas
    moved, gap = _follow(chart, thetas, points, 1)
    for steps in _STEPS:
        far = np.flatnonzero(~(gap < _EQUAL))
        if far.size:
            slow, slow_gap = _follow(chart, thetas[far], points, steps)
            better = slow_gap < gap[far]
            moved[far[better]], gap[far[better]] = slow[better], slow_gap[better]
    return moved


def in_units_of(chart: LawChart, theta: np.ndarray, points: Points) -> np.ndarray:
    """Return the coordinates, in the units of the points, of a law in plain units, [p]."""
    plain = plain_points(points)
    back = plain._replace(
        centre_x=-points.centre_x,
        centre_y=-points.centre_y,
        units={name: -unit for name, unit in points.units.items()},
    )
    return in_plain_units(chart, theta[None, :], jax.tree.map(np.asarray, back))[0]


def _follow(
    chart: LawChart, thetas: np.ndarray, points: Points, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `_followed` returns of any number of points, by one program."""
    ends = [_followed(chart, block, points, float(steps)) for block in blocks(thetas, _BLOCK)]
    moved, gap = (np.concatenate(parts)[: len(thetas)] for parts in zip(*ends, strict=True))
    return moved, gap


def blocks(thetas: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Yield the points in blocks of one length, the last filled up with its last point."""
    for first in range(0, len(thetas), length):
        yield thetas[np.minimum(np.arange(first, first + length), len(thetas) - 1)]


@functools.partial(jax.jit, static_argnames="chart")
def _followed(
    chart: LawChart, thetas: Any, points: Points, steps: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the moved coordinates, and by how much a log loss moved at most."""

    domains = list(chart.domains.values())
    logs = [is_positive(domain) for domain in domains]

    def coefficients(u: jax.Array) -> list[jax.Array]:
        return [jnp.exp(x) if log else x for x, log in zip(u, logs, strict=True)]

    def log_loss(u: jax.Array, share: Any) -> jax.Array:
        return jnp.log(chart.loss_of(coefficients(u), plain_points(points, share)))

    def one(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Not in the coordinates of the chart, which stand still at a bound.
        known = chart.values(theta)
        start = jnp.stack(
            [jnp.log(c) if log else c for c, log in zip(known, logs, strict=True)]
        )
        wanted = log_loss(start, 0.0)

        def corrected(u: jax.Array, share: Any) -> jax.Array:
            slopes = jax.jacfwd(log_loss)(u, share)
            return u + _solved(slopes, wanted - log_loss(u, share))

        def step(i: Any, u: jax.Array) -> jax.Array:
            before = jnp.asarray(i, float) / steps
            slopes, response = jax.jacfwd(log_loss, argnums=(0, 1))(u, before)
            u = u - _solved(slopes, response) / steps
            return corrected(corrected(u, before + 1 / steps), before + 1 / steps)

        u = jax.lax.fori_loop(0, jnp.asarray(steps, int), step, start)
        gap = jnp.abs(log_loss(u, 1.0) - wanted).max()
        moved = [
            jnp.where(domain.contains(c), c, old)  # zero, but for rounding
            for domain, c, old in zip(domains, coefficients(u), known, strict=True)
        ]
        pairs = zip(chart.coordinate_domains, moved, strict=True)
        theta = jnp.stack([jnp.asarray(domain.to_real(c)) for domain, c in pairs])
        return theta, jnp.where(jnp.isfinite(gap), gap, jnp.inf)

    return jax.vmap(one)(thetas)


def _solved(slopes: jax.Array, right: jax.Array) -> jax.Array:
    """Return the least-squares solution of least length."""
    return jnp.linalg.pinv(slopes, rtol=1e-13) @ right
