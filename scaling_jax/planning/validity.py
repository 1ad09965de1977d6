"""Failure inside a compiled program: a status, and NaN in every number that it spoils."""

import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from scaling_jax._pytree import (
    Record,
    coefficients,
    domains,
    fields_with_domain,
    with_coefficients,
)
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
    """Return the tree with NaN in every number, and its derivatives, where it is not sound.

    In reverse mode a number that nothing depends on (one that `where` has set aside) keeps the
    derivative zero, so that one scenario without a plan does not spoil what all share.
    """

    def forward(_: Any, x: jax.Array) -> jax.Array:
        return jnp.where(sound, x, jnp.nan * x)

    def backward(_: Any, x: jax.Array) -> jax.Array:
        return jnp.where(sound | (x == 0), x, jnp.nan * x)

    # The one linear operation of JAX whose transpose may be stated.
    def spoilt(x: jax.Array) -> jax.Array:
        x = jnp.where(sound, x, x)  # of the shape of both
        return jax.lax.custom_linear_solve(
            lambda y: y, x, solve=forward, transpose_solve=backward
        )

    return jax.tree.map(spoilt, tree)


@jax.custom_jvp
def instead(sound: jax.Array, x: jax.Array, other: jax.Array) -> jax.Array:
    """Return x where it is sound, else the other, with the derivatives of x in any case.

    So a scenario that is computed with other numbers does not look like one that does not
    depend on its own: what `spoil` does to it comes through.
    """
    return jnp.where(sound, x, other)


@instead.defjvp
def _instead_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    out = instead(*primals)
    return out, tangents[1] + jnp.zeros_like(out)


def sane(tree: _Tree) -> _Tree:
    """Return the tree with an ordinary number where one is outside of its domain.

    What is computed from it is finite, and set aside: `valid` says so.
    """
    if not isinstance(tree, Record):
        return tree
    kinds = domains(tree)
    stated = {path for path, _, _ in fields_with_domain(tree, "")}
    changed = {
        path: instead(kinds[path].contains(x), x, jnp.full_like(x, 0.5))
        for path, x in coefficients(tree).items()
        if path in stated
    }
    return with_coefficients(tree, changed)


def in_range(model: PricedModel) -> jax.Array:
    """Return whether every number of a priced model is one that its dtype can hold."""
    numbers = (model.params, model.tokens, model.loss, model.train_cost, model.serve_cost)
    sound = [jnp.isfinite(x) for x in (*numbers, model.total_cost)]
    positive = (model.params > 0) & (model.tokens > 0) & (model.train_cost > 0)
    return functools.reduce(jnp.logical_and, sound, positive)


def final_status(solved: Any, representable: jax.Array, allowed: jax.Array) -> jax.Array:
    """Return, in order of precedence, `INVALID` where the inputs are not allowed, the status
    of the solve, and `OUT_OF_RANGE` where the answer does not fit its dtype.
    """
    converged = solved == Status.CONVERGED
    outside = converged & ~representable
    status = jnp.where(outside, Status.OUT_OF_RANGE.value, solved)
    return jnp.where(allowed, status, Status.INVALID.value).astype(jnp.int32)
