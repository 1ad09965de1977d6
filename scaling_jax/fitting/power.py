"""The charts of the `PowerSum` families, in which their valleys are straight.

The coefficients of a power law trade off along curved valleys: when E moves, A and alpha
must follow. The chart of a `PowerSum` therefore does not count in coefficients but in what
the runs see, at the point (x, y) = (0, 0) of the geometric mean size and data:

    log L(x, y) = h + log(eps + (1 - eps) (s exp(-a x / k) + (1 - s) exp(-b y / k))^k)

with x = log N and y = log D about their means; h the level, eps the floor's share of the
loss, s the size term's share of the excess, (1 - eps) s a and (1 - eps) (1 - s) b the
slopes of log L, k the coupling (1 for a plain sum). Every domain holds by construction:
eps = q^2 / (1 + q^2), s = sigmoid(z), slopes = exp(u), exp(v), k = k_min + c^2. A squared
coordinate reaches its bound at zero, where the objective is smooth.
"""

import abc
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.fitting.charts import Chart, Points
from scaling_jax.laws import Chinchilla, Coupled, Kaplan, Law, Tied

# Below it a coupled law is the larger of its two terms, for every purpose.
SMALLEST_COUPLING = 0.05
_LEAST_SLOPE = 1e-3  # d log L / d log N of a term that the runs do not show
_SLOPE_SPREAD = 0.3  # of the logarithm, among the starts


class Shape(NamedTuple):
    """What the runs see of a `PowerSum`: the symbols of the module's formula."""

    level: Any  # h
    floor_ratio: Any  # eps / (1 - eps)
    logit: Any  # z
    alpha: Any  # a
    beta: Any  # b
    coupling: Any  # k, a Python float where it is fixed

    @property
    def size_share(self) -> jax.Array:
        return jax.nn.sigmoid(self.logit)

    @property
    def data_share(self) -> jax.Array:
        return jax.nn.sigmoid(-self.logit)


def _template(family: type[Law]) -> Law:
    """Return a law of a family of flat fields."""
    return family(**dict.fromkeys(family.__annotations__, 1.0))


class PowerChart(Chart):
    """The chart of a family of `PowerSum`s; see the module for the formula.

    Attributes:
        smallest: coefficients with a bound that no domain states, and the bound.
    """

    smallest: ClassVar[dict[str, float]] = {}

    @abc.abstractmethod
    def shape(self, theta: jax.Array) -> Shape:
        """Return what the coordinates mean."""

    @abc.abstractmethod
    def theta(self, shape: Shape) -> list[Any]:
        """Return the coordinates of a shape: the inverse of `shape`."""

    @abc.abstractmethod
    def build(self, shape: Shape, log_a: jax.Array, log_b: jax.Array) -> Law:
        """Return the law with the excess A / N^(a / k) + B / D^(b / k)."""

    def coupling(self, law: Any) -> Any:
        """Return k of a law."""
        return 1.0

    def log_loss_at(self, terms: jax.Array, points: Points) -> jax.Array:
        s = self.shape(terms)
        k = s.coupling
        size = jax.nn.log_sigmoid(s.logit) - s.alpha / k * points.x
        data = jax.nn.log_sigmoid(-s.logit) - s.beta / k * points.y
        excess = jnp.exp(k * jnp.logaddexp(size, data))  # over its value at the centre
        return s.level + jnp.log(s.floor_ratio + excess) - jnp.log1p(s.floor_ratio)

    def law(self, theta: Any, points: Points) -> Law:
        s = self.shape(theta)
        log_scale = (s.level - jnp.log1p(s.floor_ratio)) / s.coupling
        log_a = jax.nn.log_sigmoid(s.logit) + log_scale
        log_b = jax.nn.log_sigmoid(-s.logit) + log_scale
        return self.build(
            s,
            log_a + s.alpha / s.coupling * points.centre_x,
            log_b + s.beta / s.coupling * points.centre_y,
        )

    def coordinates(self, law: Any, points: Points) -> jax.Array:
        t, k = law.terms(), self.coupling(law)
        log_a, log_b = t.log_a - t.alpha * points.centre_x, t.log_b - t.beta * points.centre_y
        log_excess = k * jnp.logaddexp(log_a, log_b)
        floor = jnp.asarray(getattr(law, "E", 0.0))
        shape = Shape(
            level=jnp.log(floor + jnp.exp(log_excess)),
            floor_ratio=floor / jnp.exp(log_excess),
            logit=log_a - log_b,
            alpha=k * t.alpha,
            beta=k * t.beta,
            coupling=k,
        )
        return jnp.stack([jnp.asarray(c) for c in self.theta(shape)])

    def draw(self, rng: np.random.Generator, count: int, points: Points, loss: Any) -> Any:
        """Draw shapes whose level and slopes are right on average, whatever their split.

        The mean slopes of log L are those of a linear regression, raised where they are not
        positive; floor, split and coupling are drawn over their whole ranges.
        """
        columns = np.stack([np.ones_like(points.x), -points.x, -points.y], axis=1)
        level, *slopes = np.linalg.lstsq(columns, np.log(loss), rcond=None)[0]
        u, v = np.log(np.maximum(slopes, _LEAST_SLOPE))
        spread = rng.normal(0.0, _SLOPE_SPREAD, (2, count))
        shares = rng.uniform(0.02, 0.98, (2, count))
        slope = np.exp([u + spread[0], v + spread[1]])
        ratio = shares[0] / (1 - shares[0])
        shape = Shape(
            level=np.full(count, level),
            floor_ratio=ratio,
            logit=np.log(shares[1] / (1 - shares[1])),
            alpha=slope[0] * (1 + ratio) / shares[1],
            beta=slope[1] * (1 + ratio) / (1 - shares[1]),
            coupling=np.exp(rng.uniform(np.log(0.2), np.log(2.0), count)),
        )
        return np.stack([np.asarray(c) for c in self.theta(shape)], axis=1)


class Term(IntEnum):
    """The places of the terms in which a plain sum is written."""

    LEVEL = 0
    FLOOR = 1
    SIZE = 2
    DATA = 3
    ALPHA = 4
    BETA = 5


class SumChart(PowerChart):
    """The chart of a plain sum, k = 1, of the terms `Term`:

        L = exp(level) (floor + size exp(-alpha x) + data exp(-beta y))

    Their derivatives are written out: they are most of the work of a fit.
    """

    def terms(self, theta: jax.Array) -> jax.Array:
        s = self.shape(theta)
        excess = 1 / (1 + s.floor_ratio)
        shares = s.floor_ratio, s.size_share, s.data_share
        return jnp.stack([s.level, *(excess * share for share in shares), s.alpha, s.beta])

    def log_loss_at(self, terms: jax.Array, points: Points) -> jax.Array:
        level, floor, size, data, alpha, beta = terms
        excess = size * jnp.exp(-alpha * points.x) + data * jnp.exp(-beta * points.y)
        return level + jnp.log(floor + excess)

    def slopes(self, terms: jax.Array, points: Points) -> jax.Array:
        _, _, size, data, _, _ = terms
        inverse, a, b = _ratios(terms, points)
        by_exponents = -size * points.x * a, -data * points.y * b
        return jnp.stack([jnp.ones_like(a), inverse, a, b, *by_exponents])

    def contracted_hessian(
        self, terms: jax.Array, points: Points, forces: jax.Array
    ) -> jax.Array:
        """Return sum_i f_i (d2 L_i) / L_i; with a = exp(-alpha x) / L, b likewise, its rows are

                   level  floor  size      data      alpha             beta
            level  the slopes of log L, contracted with f, in row and column
            size                                     -sum f x a
            data                                                       -sum f y b
            alpha                -sum f x a          size sum f x^2 a
            beta                           -sum f y b                  data sum f y^2 b

        as the level multiplies all the rest, which is linear in floor, size and data.
        """
        _, _, size, data, _, _ = terms
        _, a, b = _ratios(terms, points)
        x_forces, y_forces = forces * points.x, forces * points.y
        entries = {
            (Term.SIZE, Term.ALPHA): -x_forces @ a,
            (Term.ALPHA, Term.SIZE): -x_forces @ a,
            (Term.ALPHA, Term.ALPHA): size * (x_forces * points.x) @ a,
            (Term.DATA, Term.BETA): -y_forces @ b,
            (Term.BETA, Term.DATA): -y_forces @ b,
            (Term.BETA, Term.BETA): data * (y_forces * points.y) @ b,
        }
        matrix = jnp.zeros((len(Term), len(Term)), terms.dtype)
        for (row, column), entry in entries.items():
            matrix = matrix.at[row, column].set(entry)
        by_level = self.slopes(terms, points) @ forces
        return matrix.at[Term.LEVEL, :].set(by_level).at[:, Term.LEVEL].set(by_level)


def _ratios(terms: jax.Array, points: Points) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return 1, exp(-alpha x) and exp(-beta y), each over L / exp(level)."""
    _, floor, size, data, alpha, beta = terms
    a, b = jnp.exp(-alpha * points.x), jnp.exp(-beta * points.y)
    inverse = 1 / (floor + size * a + data * b)
    return inverse, a * inverse, b * inverse


class ChinchillaChart(SumChart):
    """theta = (h, q, z, u, v)."""

    template = _template(Chinchilla)

    def shape(self, theta: jax.Array) -> Shape:
        h, q, z, u, v = theta
        alpha = jnp.exp(u) * (1 + q * q) / jax.nn.sigmoid(z)
        beta = jnp.exp(v) * (1 + q * q) / jax.nn.sigmoid(-z)
        return Shape(h, q * q, z, alpha, beta, 1.0)

    def theta(self, shape: Shape) -> list[Any]:
        s, one = shape, 1 + shape.floor_ratio
        u = jnp.log(s.alpha * s.size_share / one)
        v = jnp.log(s.beta * s.data_share / one)
        return [s.level, jnp.sqrt(s.floor_ratio), s.logit, u, v]

    def build(self, shape: Shape, log_a: jax.Array, log_b: jax.Array) -> Law:
        return Chinchilla(
            E=_floor(shape),
            A=jnp.exp(log_a),
            alpha=shape.alpha,
            B=jnp.exp(log_b),
            beta=shape.beta,
        )


class TiedChart(SumChart):
    """theta = (h, q, z, u), u the logarithm of the joint slope (1 - eps) alpha."""

    template = _template(Tied)

    def shape(self, theta: jax.Array) -> Shape:
        h, q, z, u = theta
        alpha = jnp.exp(u) * (1 + q * q)
        return Shape(h, q * q, z, alpha, alpha, 1.0)

    def theta(self, shape: Shape) -> list[Any]:
        s = shape
        alpha = jnp.sqrt(s.alpha * s.beta)
        return [s.level, jnp.sqrt(s.floor_ratio), s.logit, jnp.log(alpha / (1 + s.floor_ratio))]

    def build(self, shape: Shape, log_a: jax.Array, log_b: jax.Array) -> Law:
        return Tied(E=_floor(shape), A=jnp.exp(log_a), B=jnp.exp(log_b), alpha=shape.alpha)


class CoupledChart(PowerChart):
    """theta = (h, q, z, u, v, c)."""

    template = _template(Coupled)
    smallest: ClassVar[dict[str, float]] = {"k": SMALLEST_COUPLING}

    def shape(self, theta: jax.Array) -> Shape:
        c = theta[5]
        return CHINCHILLA.shape(theta[:5])._replace(coupling=SMALLEST_COUPLING + c * c)

    def theta(self, shape: Shape) -> list[Any]:
        excess = jnp.maximum(shape.coupling - SMALLEST_COUPLING, 0.0)
        return [*CHINCHILLA.theta(shape), jnp.sqrt(excess)]

    def coupling(self, law: Any) -> Any:
        return law.k

    def build(self, shape: Shape, log_a: jax.Array, log_b: jax.Array) -> Law:
        return Coupled(
            E=_floor(shape),
            A=jnp.exp(log_a),
            alpha=shape.alpha / shape.coupling,
            B=jnp.exp(log_b),
            beta=shape.beta / shape.coupling,
            k=jnp.asarray(shape.coupling),
        )


class KaplanChart(PowerChart):
    """theta = (h, z, u, v): no floor, and the data exponent is the coupling."""

    template = _template(Kaplan)

    def shape(self, theta: jax.Array) -> Shape:
        h, z, u, v = theta
        beta = jnp.exp(v) / jax.nn.sigmoid(-z)
        return Shape(h, jnp.zeros_like(h), z, jnp.exp(u) / jax.nn.sigmoid(z), beta, beta)

    def theta(self, shape: Shape) -> list[Any]:
        s = shape
        u, v = jnp.log(s.alpha * s.size_share), jnp.log(s.beta * s.data_share)
        return [s.level, s.logit, u, v]

    def coupling(self, law: Any) -> Any:
        return law.alpha_D

    def build(self, shape: Shape, log_a: jax.Array, log_b: jax.Array) -> Law:
        return Kaplan(
            N_c=jnp.exp(log_a * shape.beta / shape.alpha),
            alpha_N=shape.alpha,
            D_c=jnp.exp(log_b),
            alpha_D=shape.beta,
        )


def _floor(s: Shape) -> jax.Array:
    return jnp.exp(s.level) * s.floor_ratio / (1 + s.floor_ratio)


CHINCHILLA = ChinchillaChart()
# The families whose charts are made by hand: their fits are several times as fast.
BY_HAND = {
    type(chart.template): chart
    for chart in (CHINCHILLA, TiedChart(), CoupledChart(), KaplanChart())
}
