"""Plain Python functions as laws and costs of a decision."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from scaling_jax.planning.functions import as_pytree


@jax.tree_util.register_pytree_node_class
class PlainFunction:
    """A function as a pytree without leaves, equal to another that computes the same today.

    Programs that were compiled with it are found again by what it computes, and not by its
    name: a global that it reads, or an array that it closes over, may have changed since.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        axes: Mapping[str, Any],
        dtype: Any,
    ) -> None:
        self.function = function
        self.__signature__ = inspect.signature(function)
        read = list(self.__signature__.parameters)[len(arguments) :]
        named = {name: value for name, value in axes.items() if name in read}
        traced = as_pytree(function, arguments, named, dtype)
        constants = tuple(np.asarray(each).tobytes() for each in traced.constants)
        self._key = (traced.program, constants, tuple(read))

    def __call__(self, *arguments: Any, **axes: Any) -> Any:
        """Call the function."""
        return self.function(*arguments, **axes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainFunction) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def tree_flatten(self) -> tuple[tuple[()], "PlainFunction"]:
        return (), self

    @classmethod
    def tree_unflatten(cls, held: "PlainFunction", _: tuple[()]) -> "PlainFunction":
        return held
