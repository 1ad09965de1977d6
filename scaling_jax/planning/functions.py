"""Plain Python functions as laws and costs: traced at every call, compiled once per program.

What a function closes over, a global too, is looked up when it is called, so the program that
it stands for may be another one today. It is traced at scalars: its program is the key under
which compiled code is found again, and the arrays that it closes over are inputs, so that they
may be differentiated or mapped from outside.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

from scaling_jax._pytree import Record
from scaling_jax.solve.meshes import untyped, vary


class _Program:
    """A program with the structure of its result, equal to another that does the same."""

    def __init__(self, jaxpr: Jaxpr, out: Any, names: tuple[str, ...]) -> None:
        self.jaxpr, self.out, self.names = jaxpr, out, names
        text = re.sub(r"0x[0-9a-f]+", "", str(jaxpr))
        self._key = (text, tuple(_literals(jaxpr)), str(out), names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Program) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _literals(jaxpr: Jaxpr) -> list[bytes]:
    """Return the exact constants of a program: their text may be rounded."""
    found = []
    for eqn in jaxpr.eqns:
        found += [np.asarray(v.val).tobytes() for v in eqn.invars if isinstance(v, Literal)]
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_program):
            if _is_program(value):
                found += _literals(getattr(value, "jaxpr", value))
    return found


def _is_program(value: Any) -> bool:
    return isinstance(value, Jaxpr | ClosedJaxpr)


@jax.tree_util.register_pytree_node_class
class Traced:
    """A function as a pytree: its leaves are the arrays that it closes over."""

    def __init__(self, constants: Any, program: _Program) -> None:
        self.constants, self.program = constants, program

    def tree_flatten(self) -> tuple[Any, _Program]:
        return tuple(self.constants), self.program

    @classmethod
    def tree_unflatten(cls, program: _Program, constants: Any) -> "Traced":
        return cls(constants, program)

    def __call__(self, *arguments: Any, **axes: Any) -> Any:
        """Call it with scalars of the dtype with which it was traced."""
        named = {name: axes[name] for name in self.program.names}
        leaves = [vary(jnp.asarray(x)) for x in jax.tree.leaves((arguments, named))]
        closed = ClosedJaxpr(self.program.jaxpr, [vary(x) for x in self.constants])
        return jax.tree.unflatten(self.program.out, jaxpr_as_fun(closed)(*leaves))


def as_pytree(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    axes: Mapping[str, Any],
    dtype: Any,
) -> Any:
    """Return a record as it is, and any other function traced at scalars like the arguments.

    Raises:
        ValueError: the function returns something that is no scalar.
    """
    if is_numeric(function):
        return function
    scalars = jax.tree.map(lambda _: vary(jnp.zeros((), dtype)), (arguments, dict(axes)))

    def call(arguments: Any, axes: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), function(*arguments, **axes))

    with untyped():
        closed, shape = jax.make_jaxpr(call, return_shape=True)(*scalars)
    for leaf in jax.tree.leaves(shape):
        if leaf.shape:
            name = getattr(function, "__name__", type(function).__name__)
            raise ValueError(f"{name} returns the shape {leaf.shape}; it must return scalars")
    out = jax.tree.structure(shape)
    return Traced(closed.consts, _Program(closed.jaxpr, out, tuple(sorted(axes))))


def is_numeric(function: Any) -> bool:
    """Return whether a function is a pytree of nothing but numbers."""
    if not isinstance(function, Record) and jax.tree_util.all_leaves([function]):
        return False
    if isinstance(function, jax.tree_util.Partial):
        return False
    return not any(callable(leaf) for leaf in jax.tree.leaves(function))
