"""Charts: unconstrained coordinates of a law family, every domain held by construction."""

import abc
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import FRACTION, NON_NEGATIVE, POSITIVE, Domain, fields_with_domain
from scaling_jax.laws import Law

SMALLEST = 1e-300  # positive coefficient


class Design(NamedTuple):
    """Where the runs are: x = log N - mean_x and y = log D - mean_y."""

    x: Any  # [n], a NumPy or JAX array as all of these
    y: Any  # [n]
    mean_x: Any
    mean_y: Any


class Chart(abc.ABC):
    """Coordinates theta, an array of `size` numbers, of the laws of one family."""

    family: type[Law]
    size: int
    exponents: tuple[str, ...]  # the coefficients that set how the law extrapolates

    def log_loss(self, theta: jax.Array, design: Design) -> jax.Array:
        """Return log L at every point of the design."""
        return self.log_loss_at(self.terms(theta), design)

    def terms(self, theta: jax.Array) -> jax.Array:
        """Return the numbers in which the loss is written: theta itself, or what is simpler."""
        return theta

    @abc.abstractmethod
    def log_loss_at(self, terms: jax.Array, design: Design) -> jax.Array:
        """Return log L at every point of the design."""

    def slopes(self, terms: jax.Array, design: Design) -> jax.Array:
        """Return the derivatives of log L in the terms, [terms, n]."""
        return jax.jacfwd(lambda t: self.log_loss_at(t, design))(terms).T

    def bend(self, terms: jax.Array, design: Design, forces: jax.Array) -> jax.Array:
        """Return sum_i forces_i (d2 L_i) / L_i, second derivatives in the terms."""
        here = jax.lax.stop_gradient(self.log_loss_at(terms, design))
        return jax.hessian(lambda t: forces @ jnp.exp(self.log_loss_at(t, design) - here))(
            terms
        )

    @abc.abstractmethod
    def law(self, theta: Any, design: Design) -> Law:
        """Return the law that has these coordinates."""

    @abc.abstractmethod
    def coordinates(self, law: Any, design: Design) -> jax.Array:
        """Return the coordinates of a law."""

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, count: int, design: Design, loss: Any) -> Any:
        """Return `count` points to start from, drawn over all laws that are plausible."""

    def held(self, law: Any) -> Any:
        """Return a law, or stacked laws, with every positive coefficient as 64 bits hold it."""

        def hold(value: Any, domain: Domain | None) -> Any:
            return np.clip(value, SMALLEST, 1 / SMALLEST) if domain is POSITIVE else value

        pairs = zip(self.names, self.domains, strict=True)
        return self.family(**{name: hold(getattr(law, name), domain) for name, domain in pairs})

    def position(self, theta: jax.Array, design: Design) -> jax.Array:
        """Return the coefficients, of those that are positive the logarithms, [p]."""
        law = self.law(theta, design)
        values = [jnp.asarray(getattr(law, name)) for name in self.names]
        return jnp.stack(
            [
                jnp.log(value) if domain is POSITIVE else value
                for value, domain in zip(values, self.domains, strict=True)
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the law's coefficients."""
        return tuple(field.name for field in dataclasses.fields(self.family))

    @functools.cached_property
    def domains(self) -> list[Domain | None]:
        """What values each coefficient may have."""
        probe = self.family(**dict.fromkeys(self.names, 1.0))
        known = {name: domain for name, _, domain in fields_with_domain(probe, "")}
        return [known.get(name) for name in self.names]


class LawChart(Chart):
    """The chart of any family: one coordinate per coefficient, its domain by construction.

    A positive coefficient is exp(t), one of zero or more t^2, a fraction sigmoid(t); one
    without a domain is its own coordinate.
    """

    def __init__(self, family: type[Law]) -> None:
        """Take the coefficients from the family's fields."""
        self.family = family
        self.size, self.exponents = len(self.names), self.names

    def log_loss_at(self, terms: jax.Array, design: Design) -> jax.Array:
        params, tokens = jnp.exp(design.x + design.mean_x), jnp.exp(design.y + design.mean_y)
        return jnp.log(self.law(terms, design)(params, tokens))

    def law(self, theta: Any, design: Design) -> Law:
        values = [_inside(t, domain) for t, domain in zip(theta, self.domains, strict=True)]
        return self.family(**dict(zip(self.names, values, strict=True)))

    def coordinates(self, law: Any, design: Design) -> jax.Array:
        values = [jnp.asarray(getattr(law, name), float) for name in self.names]
        return jnp.stack([_outside(v, d) for v, d in zip(values, self.domains, strict=True)])

    def draw(self, rng: np.random.Generator, count: int, design: Design, loss: Any) -> Any:
        """Draw every coefficient from 0.01 to 10,000, evenly in the logarithm."""
        values = 10.0 ** rng.uniform(-2.0, 4.0, (self.size, count))
        fractions = rng.uniform(0.0, 1.0, (self.size, count))
        columns = [
            _outside(jnp.asarray(f if domain is FRACTION else v), domain)
            for v, f, domain in zip(values, fractions, self.domains, strict=True)
        ]
        return np.stack([np.asarray(column) for column in columns], axis=1)


def _inside(t: jax.Array, domain: Domain | None) -> jax.Array:
    if domain is POSITIVE:
        return jnp.exp(t)
    if domain is NON_NEGATIVE:
        return t * t
    return jax.nn.sigmoid(t) if domain is FRACTION else t


def _outside(value: jax.Array, domain: Domain | None) -> jax.Array:
    if domain is POSITIVE:
        return jnp.log(value)
    if domain is NON_NEGATIVE:
        return jnp.sqrt(value)
    return jax.scipy.special.logit(value) if domain is FRACTION else value
