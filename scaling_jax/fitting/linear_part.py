"""The coefficients in which a law is linear, found by least squares for any of the others.

Where L(N, D) = f_0 + sum_j c_j f_j, with f of the other coefficients alone, the best c of
given others is a small least-squares problem, so that only the others need be searched
(Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate", 1973). A coefficient that stands in an exponential, as in
exp(e) + …, is treated by its exponential.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Domain
from scaling_jax.fitting.charts import LawChart, Points
from scaling_jax.fitting.linear import solve_symmetric
from scaling_jax.fitting.objective import Data, Objective, value

_MOST = 4  # of whose subsets all are tried
_LINEAR = 1e-9  # a second derivative, as a share of the loss
_ROWS = 8
_LEAST_SHARE = 1e-3  # of the largest part: what a positive one gets in place of zero


class LinearPart(NamedTuple):
    """Which coefficients are linear: their places, and whether each by its exponential."""

    places: tuple[int, ...]
    exponential: tuple[bool, ...]


def linear_part(chart: LawChart, points: Points, values: np.ndarray) -> LinearPart:
    """Return the coefficients in which the loss is linear together, tried at random points.

    Args:
        chart: the family.
        points: where the runs are.
        values: plausible coefficients to try at, [m, p].
    """
    rows = np.linspace(0, len(points.x) - 1, _ROWS).astype(int)
    bends, slopes = map(np.asarray, _derivatives(chart, values, points.at(rows)))
    sound = np.isfinite(bends).all(axis=(1, 2, 3)) & np.isfinite(slopes).all(axis=(1, 2))
    if not sound.any():
        return LinearPart((), ())
    bends, slopes = bends[sound], slopes[sound]
    places: list[int] = []
    exponential: list[bool] = []
    for place, domain in enumerate(chart.domains.values()):
        if domain.role == "exponent" or len(places) == _MOST:
            continue
        apart = all(np.abs(bends[..., place, other]).max() < _LINEAR for other in places)
        own = bends[..., place, place]
        itself = np.abs(own).max() < _LINEAR
        by_exponential = domain.contains(-1.0) and np.abs(own - slopes[..., place]).max()
        if apart and (itself or (domain.contains(-1.0) and by_exponential < _LINEAR)):
            places.append(place)
            exponential.append(not itself)
    return LinearPart(tuple(places), tuple(exponential))


@functools.partial(jax.jit, static_argnames="chart")
def _derivatives(chart: LawChart, values: Any, points: Points) -> tuple[jax.Array, jax.Array]:
    """Return second and first derivatives of L over L in the coefficients, relative ones
    but for coefficients of either sign, [m, n, p, p] and [m, n, p].
    """
    domains = chart.domains.values()
    scaled = jnp.asarray([not domain.contains(-1.0) for domain in domains])

    def one(c: jax.Array) -> tuple[jax.Array, jax.Array]:
        unit = jnp.where(scaled, c, 1.0)

        def loss(s: jax.Array) -> jax.Array:
            return chart.loss_of(c + unit * s, points)

        zero = jnp.zeros_like(c)
        size = loss(zero)[:, None]
        return jax.jacfwd(jax.jacfwd(loss))(zero) / size[..., None], jax.jacfwd(loss)(
            zero
        ) / size

    return jax.lax.map(one, values)


@functools.partial(jax.jit, static_argnames=("objective", "part"))
def completed(
    objective: Objective, part: LinearPart, values: Any, data: Data, delta: float
) -> tuple[jax.Array, jax.Array]:
    """Return the points of coefficients whose linear ones are fitted, and F there.

    Args:
        objective: chart and residual.
        part: what is linear.
        values: coefficients, of which the linear ones are replaced, [m, p].
        data: the runs.
        delta: Huber's threshold.
    """
    chart: Any = objective.chart
    loss = jnp.exp(data.target) if objective.residual == "log" else data.target
    precision = data.precision / loss if objective.residual == "log" else data.precision
    domains = list(chart.domains.values())

    def one(c: jax.Array) -> tuple[jax.Array, jax.Array]:
        if part.places:
            c = _with_linear(chart, part, c, data.points, loss, data.weight * precision**2)
        pairs = zip(chart.coordinate_domains, c, strict=True)
        theta = jnp.stack([jnp.asarray(domain.to_real(x)) for domain, x in pairs])
        return theta, value(objective, theta, data, delta)

    def _with_linear(
        chart: LawChart,
        part: LinearPart,
        c: jax.Array,
        points: Points,
        loss: jax.Array,
        weight: jax.Array,
    ) -> jax.Array:
        places = jnp.asarray(part.places)
        exponential = jnp.asarray(part.exponential)

        def at(linear: jax.Array) -> jax.Array:
            own = jnp.where(exponential, jnp.log(linear), linear)
            return chart.loss_of(c.at[places].set(own), points)

        one = jnp.ones(len(part.places))
        columns = jax.jacfwd(at)(one)
        free = [
            domains[place].contains(-1.0) and not by_exponential
            for place, by_exponential in zip(part.places, part.exponential, strict=True)
        ]
        found = _least_squares(columns, loss - (at(one) - columns.sum(axis=1)), weight, free)
        own = jnp.where(exponential, jnp.log(found), found)
        kept = [_kept(domains[place], x) for place, x in zip(part.places, own, strict=True)]
        return c.at[places].set(jnp.stack(kept))

    return jax.lax.map(one, values, batch_size=128)


def _kept(domain: Domain, x: jax.Array) -> jax.Array:
    """Return a number as its domain has it: a typical one where it is outside."""
    return jnp.where(domain.contains(x), x, jnp.clip(x, *domain.typical))


def _least_squares(
    columns: jax.Array, target: jax.Array, weight: jax.Array, free: list[bool]
) -> jax.Array:
    """Return the weighted least-squares coefficients, zero or more but for those free.

    Every subset is tried. A coefficient that ends at zero is given a thousandth of the
    largest part, as a logarithm cannot leave zero.
    """
    scale = jnp.sqrt(weight @ columns**2) + 1e-300
    scaled = columns / scale[None, :]
    matrix = (scaled * weight[:, None]).T @ scaled
    right = (scaled * weight[:, None]).T @ target
    always = np.array(free)
    subsets = [np.array(each) for each in itertools.product((0.0, 1.0), repeat=len(free))]
    masks = jnp.asarray(np.array([each for each in subsets if (each[always] == 1).all()]))

    def fitted(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        here = matrix * mask[:, None] * mask[None, :]
        found = solve_symmetric(
            here + jnp.diag(1 - mask), right * mask, jnp.ones_like(mask), 1e-12
        )
        energy = found @ matrix @ found - 2 * right @ found
        sound = jnp.all((found >= 0) | always) & jnp.isfinite(energy)
        return found, jnp.where(sound, energy, jnp.inf)

    found, energies = jax.vmap(fitted)(masks)
    best = found[jnp.argmin(energies)]
    least = _LEAST_SHARE * jnp.abs(best).max()
    return jnp.where(always, best, jnp.maximum(best, least)) / scale
