"""How a record becomes a frozen, keyword-only pytree that says which numbers it accepts.

A subclass of `Record` is declared by annotations alone. Its fields are pytree leaves
(or records), so `jax.jit`, `jax.vmap` and `jax.grad` take it as it is. A field annotated
`Positive`, `NonNegative` or `Fraction` carries a `Domain`: the one statement from which
both the status inside a compiled program and the sentence at the Python edge are made.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

Number = jax.Array | np.ndarray | float


class Domain(NamedTuple):
    """The numbers that a field accepts, in words and as a test that NaN never passes."""

    words: str
    contains: Callable[[Any], Any]


_INFINITY = float("inf")
POSITIVE = Domain("positive and finite", lambda x: (x > 0) & (x < _INFINITY))
NON_NEGATIVE = Domain("zero or more, and finite", lambda x: (x >= 0) & (x < _INFINITY))
FRACTION = Domain("in (0, 1]", lambda x: (x > 0) & (x <= 1))

Positive = Annotated[Number, POSITIVE]
NonNegative = Annotated[Number, NON_NEGATIVE]
Fraction = Annotated[Number, FRACTION]
OptionalPositive = Annotated[Number | None, POSITIVE]


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
        # A generated __eq__ or __hash__ on arrays is a trap, hence eq=False.
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
        jax.tree_util.register_dataclass(cls)


@functools.cache
def _domains(cls: type) -> dict[str, Domain | None]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: next(
            (
                extra
                for extra in getattr(hints[field.name], "__metadata__", ())
                if isinstance(extra, Domain)
            ),
            None,
        )
        for field in dataclasses.fields(cls)
    }


def fields_with_domain(tree: Any, path: str) -> Iterator[tuple[str, Any, Domain]]:
    """Yield (dotted path, value, domain) of every field with a domain, in nested records too.

    A field that is None is absent and is passed over.
    """
    if not isinstance(tree, Record):
        return
    for name, domain in _domains(type(tree)).items():
        value, inner = getattr(tree, name), f"{path}.{name}" if path else name
        if domain is None:
            yield from fields_with_domain(value, inner)
        elif value is not None:
            yield inner, value, domain
