"""How a record becomes a frozen, keyword-only pytree that says which numbers it accepts.

A subclass of `Record` is declared by annotations alone. Its fields are pytree leaves, records,
or tuples of either, so `jax.jit`, `jax.vmap` and `jax.grad` take it as it is. A field annotated
`Positive`, `Exponent`, `NonNegative`, `Floor`, `Fraction` or `Real` carries a `Domain`: the one
statement from which come the status inside a compiled program, the sentence at the Python
edge, and the coordinates and starting values of a fit.
"""

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Number = jax.Array | np.ndarray | float


class Domain(NamedTuple):
    """The numbers that a field accepts, and what they mean.

    Attributes:
        words: what is right, for sentences.
        contains: whether a number is inside; never so for NaN.
        to_real: the number as an unconstrained coordinate, in which a fit moves.
        from_real: the inverse of `to_real`.
        typical: where a fit begins to look.
        role: what the number is in a law: `level`, `exponent` or `floor`.
    """

    words: str
    contains: Callable[[Any], Any]
    to_real: Callable[[Any], Any]
    from_real: Callable[[Any], Any]
    typical: tuple[float, float]
    role: str = "level"

    def between(self, low: float, high: float) -> "Domain":
        """Return the domain with other typical values."""
        return self._replace(typical=(low, high))

    def up_to(self, high: float) -> "Domain":
        """Return the positive numbers up to a bound, which a fit can reach.

        x = high exp(-t^2): at the bound t is zero and the objective is smooth.
        """
        return self._replace(
            words=f"positive, and at most {high:g}",
            contains=lambda x: (x > 0) & (x <= high),
            to_real=lambda x: jnp.sqrt(jnp.maximum(jnp.log(high) - jnp.log(x), 0.0)),
            from_real=lambda t: high * jnp.exp(-t * t),
        )

    def within(self, low: float, high: float) -> "Domain":
        """Return the numbers between two bounds, which a fit can reach.

        x = middle + half sin(t): at either bound the objective is smooth.
        """
        middle, half = (low + high) / 2, (high - low) / 2
        return self._replace(
            words=f"between {low:g} and {high:g}",
            contains=lambda x: (x >= low) & (x <= high),
            to_real=lambda x: jnp.arcsin(jnp.clip((x - middle) / half, -1.0, 1.0)),
            from_real=lambda t: middle + half * jnp.sin(t),
            typical=(low, high),
        )


_INFINITY = float("inf")
POSITIVE = Domain(
    "positive and finite",
    lambda x: (x > 0) & (x < _INFINITY),
    to_real=jnp.log,
    from_real=jnp.exp,
    typical=(1e-2, 1e4),
)
EXPONENT = POSITIVE._replace(typical=(0.02, 1.5), role="exponent")
NON_NEGATIVE = Domain(
    "zero or more, and finite",
    lambda x: (x >= 0) & (x < _INFINITY),
    to_real=jnp.sqrt,
    from_real=jnp.square,
    typical=(0.0, 10.0),
)
FLOOR = NON_NEGATIVE._replace(role="floor")
FRACTION = Domain(
    "in (0, 1]",
    lambda x: (x > 0) & (x <= 1),
    to_real=jax.scipy.special.logit,
    from_real=jax.nn.sigmoid,
    typical=(0.0, 1.0),
)
SHARE = FRACTION._replace(words="in [0, 1)", contains=lambda x: (x >= 0) & (x < 1))
REAL = Domain(
    "finite",
    lambda x: (x > -_INFINITY) & (x < _INFINITY),
    to_real=jnp.asarray,
    from_real=jnp.asarray,
    typical=(-3.0, 3.0),
)

Positive = Annotated[Number, POSITIVE]
Exponent = Annotated[Number, EXPONENT]
NonNegative = Annotated[Number, NON_NEGATIVE]
Floor = Annotated[Number, FLOOR]
Fraction = Annotated[Number, FRACTION]
Share = Annotated[Number, SHARE]
Real = Annotated[Number, REAL]
OptionalPositive = Annotated[Number | None, POSITIVE]
OptionalNonNegative = Annotated[Number | None, NON_NEGATIVE]


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Record:
    """Base of every record: subclassing makes a frozen, keyword-only pytree.

    Example:
        >>> class Point(Record):
        ...     x: Number
        ...     y: Number = 0.0
        >>> jax.tree.map(lambda leaf: 2 * leaf, Point(x=1.0))
        Point(x=2.0, y=0.0)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _resolve_annotations(cls)
        # A generated __eq__ or __hash__ on arrays is a trap, hence eq=False.
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
        jax.tree_util.register_dataclass(cls)


def _resolve_annotations(cls: type) -> None:
    """Give text annotations their meaning where only the defining function knows it.

    Under `from __future__ import annotations` every annotation is text, and the names of a
    function in which a class is defined are gone once it has returned.
    """
    known = dict(vars(sys.modules.get(cls.__module__, typing)))
    annotations = inspect.get_annotations(cls)
    for name, text in annotations.items():
        frame: types.FrameType | None = sys._getframe(1)
        while isinstance(annotations[name], str) and frame is not None:
            try:
                annotations[name] = eval(text, known, dict(frame.f_locals))
            except Exception:  # whatever its text raises here, an outer scope may know it
                frame = frame.f_back
    cls.__annotations__ = annotations


@functools.cache
def _domains(cls: type) -> dict[str, Domain | None]:
    """Return the domain of each field, or of each element of a tuple of numbers."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__name__} has an annotation that is not known where it is defined: {error}"
        ) from None
    return {field.name: _domain(hints[field.name]) for field in dataclasses.fields(cls)}


def _domain(hint: Any) -> Domain | None:
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    return next((x for x in getattr(hint, "__metadata__", ()) if isinstance(x, Domain)), None)


def fields_with_domain(tree: Any, path: str) -> Iterator[tuple[str, Any, Domain]]:
    """Yield (dotted path, value, domain) of every field with a domain, in nested records too.

    Records in tuples are entered as well: `laws.0.E`. A field that is None is absent and is
    passed over.
    """
    if isinstance(tree, tuple | list):
        for index, value in enumerate(tree):
            yield from fields_with_domain(value, _join(path, str(index)))
    if not isinstance(tree, Record):
        return
    for name, domain in _domains(type(tree)).items():
        value, inner = getattr(tree, name), _join(path, name)
        if domain is None:
            yield from fields_with_domain(value, inner)
        elif isinstance(value, tuple | list):
            yield from ((_join(inner, str(i)), each, domain) for i, each in enumerate(value))
        elif value is not None:
            yield inner, value, domain


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def coefficients(record: Any) -> dict[str, Any]:
    """Return the numbers of a record, nested ones too, by dotted path.

    Example:
        >>> from scaling_jax.laws import HOFFMANN_2022, Mixture
        >>> list(coefficients(HOFFMANN_2022))
        ['E', 'A', 'alpha', 'B', 'beta']
        >>> list(coefficients(Mixture(laws=(HOFFMANN_2022,), weights=(1.0,))))[-2:]
        ['laws.0.beta', 'weights.0']
    """
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(record)}


_R = TypeVar("_R")


def with_coefficients(record: _R, values: Mapping[str, Any]) -> _R:
    """Return the record with other numbers, given by dotted path."""
    return jax.tree.map_with_path(lambda path, leaf: values.get(_name(path), leaf), record)


def domains(record: Any) -> dict[str, Domain]:
    """Return the domain of each number of a record by dotted path; any number is `REAL`."""
    stated = {path: domain for path, _, domain in fields_with_domain(record, "")}
    return {path: stated.get(path, REAL) for path in coefficients(record)}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
