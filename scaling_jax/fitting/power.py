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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.fitting.charts import Chart, Design
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


class PowerChart(Chart):
    """The chart of a family of `PowerSum`s; see the module for the formula."""

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

    def log_loss_at(self, terms: jax.Array, design: Design) -> jax.Array:
        s = self.shape(terms)
        k = s.coupling
        size = jax.nn.log_sigmoid(s.logit) - s.alpha / k * design.x
        data = jax.nn.log_sigmoid(-s.logit) - s.beta / k * design.y
        excess = jnp.exp(k * jnp.logaddexp(size, data))  # over its value at the centre
        return s.level + jnp.log(s.floor_ratio + excess) - jnp.log1p(s.floor_ratio)

    def law(self, theta: Any, design: Design) -> Law:
        s = self.shape(theta)
        log_scale = (s.level - jnp.log1p(s.floor_ratio)) / s.coupling
        log_a = jax.nn.log_sigmoid(s.logit) + log_scale
        log_b = jax.nn.log_sigmoid(-s.logit) + log_scale
        return self.build(
            s,
            log_a + s.alpha / s.coupling * design.mean_x,
            log_b + s.beta / s.coupling * design.mean_y,
        )

    def coordinates(self, law: Any, design: Design) -> jax.Array:
        t, k = law.terms(), self.coupling(law)
        log_a, log_b = t.log_a - t.alpha * design.mean_x, t.log_b - t.beta * design.mean_y
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

    def draw(self, rng: np.random.Generator, count: int, design: Design, loss: Any) -> Any:
        """Draw shapes whose level and slopes are right on average, whatever their split.

        The mean slopes of log L are those of a linear regression, raised where they are not
        positive; floor, split and coupling are drawn over their whole ranges.
        """
        columns = np.stack([np.ones_like(design.x), -design.x, -design.y], axis=1)
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


class SumChart(PowerChart):
    """The chart of a plain sum, k = 1, of terms (h, eps, A, B, a, b):

        L = exp(h) (eps + A exp(-a x) + B exp(-b y))

    Their derivatives are written out: they are most of the work of a fit.
    """

    def terms(self, theta: jax.Array) -> jax.Array:
        s = self.shape(theta)
        excess = 1 / (1 + s.floor_ratio)
        shares = s.floor_ratio, s.size_share, s.data_share
        return jnp.stack([s.level, *(excess * share for share in shares), s.alpha, s.beta])

    def log_loss_at(self, terms: jax.Array, design: Design) -> jax.Array:
        level, floor, size, data, alpha, beta = terms
        excess = size * jnp.exp(-alpha * design.x) + data * jnp.exp(-beta * design.y)
        return level + jnp.log(floor + excess)

    def slopes(self, terms: jax.Array, design: Design) -> jax.Array:
        _, _, size, data, _, _ = terms
        inverse, a, b = _ratios(terms, design)
        by_exponents = -size * design.x * a, -data * design.y * b
        return jnp.stack([jnp.ones_like(a), inverse, a, b, *by_exponents])

    def bend(self, terms: jax.Array, design: Design, forces: jax.Array) -> jax.Array:
        _, _, size, data, _, _ = terms
        _, a, b = _ratios(terms, design)
        x_forces, y_forces = forces * design.x, forces * design.y
        bend = jnp.zeros((6, 6), terms.dtype)
        bend = bend.at[2, 4].set(-x_forces @ a).at[4, 4].set(size * (x_forces * design.x) @ a)
        bend = bend.at[3, 5].set(-y_forces @ b).at[5, 5].set(data * (y_forces * design.y) @ b)
        bend = bend.at[4, 2].set(bend[2, 4]).at[5, 3].set(bend[3, 5])
        # The level multiplies all: its second derivatives are the first ones of the rest.
        level = self.slopes(terms, design) @ forces
        return bend.at[0, :].set(level).at[:, 0].set(level)


def _ratios(terms: jax.Array, design: Design) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return 1, exp(-a x) and exp(-b y), each over L / exp(h)."""
    _, floor, size, data, alpha, beta = terms
    a, b = jnp.exp(-alpha * design.x), jnp.exp(-beta * design.y)
    inverse = 1 / (floor + size * a + data * b)
    return inverse, a * inverse, b * inverse


class ChinchillaChart(SumChart):
    """theta = (h, q, z, u, v)."""

    family = Chinchilla
    size = 5
    exponents = ("alpha", "beta")

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

    family = Tied
    size = 4
    exponents = ("alpha",)

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

    family = Coupled
    size = 6
    exponents = ("alpha", "beta", "k")

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

    family = Kaplan
    size = 4
    exponents = ("alpha_N", "alpha_D")

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
TIED = TiedChart()
COUPLED = CoupledChart()
KAPLAN = KaplanChart()
