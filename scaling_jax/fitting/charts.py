"""Charts: unconstrained coordinates of a law family, every domain held by construction."""

import abc
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Domain, coefficients, domains, with_coefficients
from scaling_jax.fitting.tuning import TUNING
from scaling_jax.laws import Law

SMALLEST = 1e-300  # positive coefficient


class Points(NamedTuple):
    """Where the runs are: log N and log D about a centre, and the axes that the law reads.

    The centre of a `LawChart` are the units in which its law counts N and D, and the axes
    are in units likewise; zero, with plain axes, for a law as it is.
    """

    x: Any  # log N - centre_x, [n], a NumPy or JAX array as all of these
    y: Any  # log D - centre_y, [n]
    centre_x: Any
    centre_y: Any
    axes: dict[str, Any]  # [n] each, over their units
    units: dict[str, Any]  # the logarithms of the axes' units

    def at(self, rows: Any) -> "Points":
        """Return the points of some runs, by index or mask."""
        axes = {name: axis[rows] for name, axis in self.axes.items()}
        return self._replace(x=self.x[rows], y=self.y[rows], axes=axes)


class Chart(abc.ABC):
    """Coordinates theta, an array of `size` numbers, of the laws of one family.

    Attributes:
        template: a law of the family, which says how it is nested.
        straight: whether the valleys of the objective are straight in the coordinates.
    """

    template: Law
    straight: bool = True

    @property
    def family(self) -> str:
        """The name of the family."""
        return type(self.template).__name__

    @property
    def size(self) -> int:
        """How many coordinates and coefficients there are."""
        return len(self.domains)

    @property
    def names(self) -> tuple[str, ...]:
        """The dotted paths of the law's coefficients."""
        return tuple(self.domains)

    @functools.cached_property
    def domains(self) -> Mapping[str, Domain]:
        """What values each coefficient may have, by dotted path."""
        return domains(self.template)

    def log_loss(self, theta: jax.Array, points: Points) -> jax.Array:
        """Return log L at every point."""
        return self.log_loss_at(self.terms(theta), points)

    def terms(self, theta: jax.Array) -> jax.Array:
        """Return the numbers in which the loss is written: theta itself, or what is simpler."""
        return theta

    @abc.abstractmethod
    def log_loss_at(self, terms: jax.Array, points: Points) -> jax.Array:
        """Return log L at every point."""

    def slopes(self, terms: jax.Array, points: Points) -> jax.Array:
        """Return the derivatives of log L in the terms, [terms, n]."""
        return jax.jacfwd(lambda t: self.log_loss_at(t, points))(terms).T

    def contracted_hessian(
        self, terms: jax.Array, points: Points, forces: jax.Array
    ) -> jax.Array:
        """Return sum_i forces_i (d2 L_i) / L_i, second derivatives in the terms."""
        here = jax.lax.stop_gradient(self.log_loss_at(terms, points))
        return jax.hessian(lambda t: forces @ jnp.exp(self.log_loss_at(t, points) - here))(
            terms
        )

    @abc.abstractmethod
    def law(self, theta: Any, points: Points) -> Law:
        """Return the law that has these coordinates, in the units of the points."""

    @abc.abstractmethod
    def coordinates(self, law: Any, points: Points) -> jax.Array:
        """Return the coordinates of a law in the units of the points."""

    def held(self, law: Any) -> Any:
        """Return a law, or stacked laws, with every positive coefficient as 64 bits hold it."""
        values = coefficients(law)
        return with_coefficients(
            law,
            {
                name: np.clip(values[name], SMALLEST, 1 / SMALLEST)
                for name, domain in self.domains.items()
                if is_positive(domain)
            },
        )

    def position(self, theta: jax.Array, points: Points) -> jax.Array:
        """Return the coefficients, of those that are positive the logarithms, [p]."""
        values = coefficients(self.law(theta, points))
        return jnp.stack(
            [
                jnp.log(values[name]) if is_positive(domain) else jnp.asarray(values[name])
                for name, domain in self.domains.items()
            ]
        )


class LawChart(Chart):
    """The chart of any law, nested too: one coordinate per coefficient, by its `Domain`.

    Exponents end at `TUNING.steepest`, beyond which a term is a step that no run bounds.
    """

    straight = False

    def __init__(self, template: Law) -> None:
        """Take the coefficients from a law of the family."""
        self.template = template

    @functools.cached_property
    def coordinate_domains(self) -> list[Domain]:
        """The domains whose bijections make the coordinates."""
        return [
            domain.up_to(TUNING.steepest) if domain.role == "exponent" else domain
            for domain in self.domains.values()
        ]

    def log_loss_at(self, terms: jax.Array, points: Points) -> jax.Array:
        return jnp.log(self.loss_of(self.values(terms), points))

    def loss_of(self, values: Any, points: Points) -> jax.Array:
        """Return L at every point from the coefficients in order."""
        return self.build(values).loss_at_log(points.x, points.y, **points.axes)

    def values(self, theta: Any) -> list[Any]:
        """Return the coefficients in order."""
        pairs = zip(self.coordinate_domains, theta, strict=True)
        return [domain.from_real(t) for domain, t in pairs]

    def build(self, values: Any) -> Law:
        """Return the law of coefficients in order."""
        return with_coefficients(self.template, dict(zip(self.names, values, strict=True)))

    def law(self, theta: Any, points: Points) -> Law:
        return self.build(self.values(theta))

    def coordinates(self, law: Any, points: Points) -> jax.Array:
        values = coefficients(law)
        pairs = zip(self.names, self.coordinate_domains, strict=True)
        return jnp.stack([jnp.asarray(d.to_real(jnp.asarray(values[n]))) for n, d in pairs])


def is_positive(domain: Domain) -> bool:
    """Return whether a coefficient is told by its logarithm: it is positive without end."""
    return not domain.contains(0.0) and domain.contains(1e6) and not domain.contains(-1.0)
