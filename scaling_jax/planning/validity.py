"""Failure inside a compiled program: a status, and NaN in every number that it spoils."""

import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from scaling_jax._pytree import fields_with_domain
from scaling_jax.solve import Status

_Tree = TypeVar("_Tree")


def final_status(status: jax.Array, in_range: jax.Array, inputs: Iterable[Any]) -> jax.Array:
    """Return, in order of precedence: `INVALID` where an input is outside its domain, the

    status of the solve, `OUT_OF_RANGE` where an answer does not fit its dtype.
    """
    outside = (status == Status.CONVERGED) & ~in_range
    status = jnp.where(outside, Status.OUT_OF_RANGE.value, status)
    return jnp.where(_valid(inputs), status, Status.INVALID.value).astype(jnp.int32)


def spoil(status: jax.Array, tree: _Tree) -> _Tree:
    """Return the tree with NaN wherever the status is not `CONVERGED`."""

    def product(x: jax.Array) -> jax.Array:
        # A product, not a selection, so that the derivatives are NaN as well.
        return x * jnp.where(status == Status.CONVERGED, 1.0, jnp.nan).astype(x.dtype)

    return jax.tree.map(product, tree)


def _valid(inputs: Iterable[Any]) -> jax.Array:
    conditions = [
        domain.contains(value)
        for tree in inputs
        for _, value, domain in fields_with_domain(tree, "")
    ]
    return functools.reduce(jnp.logical_and, conditions, jnp.asarray(True))
