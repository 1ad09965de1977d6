"""Failure inside a compiled program: a status, and NaN in every number that it spoils."""

import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from scaling_jax._pytree import fields_with_domain
from scaling_jax.planning.records import PricedModel
from scaling_jax.solve import Status

_Tree = TypeVar("_Tree")


def valid(inputs: Iterable[Any]) -> jax.Array:
    """Return whether every number of the records is inside its domain."""
    conditions = [
        domain.contains(value)
        for tree in inputs
        for _, value, domain in fields_with_domain(tree, "")
    ]
    return functools.reduce(jnp.logical_and, conditions, jnp.asarray(True))


def spoil(sound: jax.Array, tree: _Tree) -> _Tree:
    """Return the tree with NaN in every number where it is not sound."""

    def product(x: jax.Array) -> jax.Array:
        # A product, not a selection, so that the derivatives are NaN as well.
        return x * jnp.where(sound, 1.0, jnp.nan).astype(x.dtype)

    return jax.tree.map(product, tree)


def finite(x: jax.Array) -> jax.Array:
    """Return NaN in place of an overflow."""
    return jnp.where(x < jnp.inf, x, jnp.nan)


def positive(x: jax.Array) -> jax.Array:
    """Return NaN in place of an overflow or an underflow to zero."""
    return jnp.where((x > 0) & (x < jnp.inf), x, jnp.nan)


def in_range(model: PricedModel) -> jax.Array:
    """Return whether every number of a priced model is one that its dtype can hold."""
    return jnp.isfinite(model.total_cost)  # a NaN in params or tokens is one here


def final_status(solved: Any, representable: jax.Array, allowed: jax.Array) -> jax.Array:
    """Return, in order of precedence, `INVALID` where the inputs are not allowed, the status

    of the solve, and `OUT_OF_RANGE` where the answer does not fit its dtype.
    """
    converged = solved == Status.CONVERGED
    outside = converged & ~representable
    status = jnp.where(outside, Status.OUT_OF_RANGE.value, solved)
    return jnp.where(allowed, status, Status.INVALID.value).astype(jnp.int32)
