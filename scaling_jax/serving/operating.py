"""The best operating point: how many sequences at once, on how many chips.

Cost per token falls with the batch until a limit is met, so that at a given group the best
batch is the largest that time, memory and engine allow, in closed form; the group is the
cheapest of a short list.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number, OptionalPositive, Record
from scaling_jax.serving.records import Operation, Request
from scaling_jax.serving.refusal import check_formats, check_heads, check_inputs, refuse
from scaling_jax.serving.replica import Formats, Replica, replica_of
from scaling_jax.serving.servers import Servers
from scaling_jax.shapes import TransformerShape
from scaling_jax.solve import Status


class _Given(Record):
    """What `operate` may be given besides."""

    batch: OptionalPositive = None
    serve_bits: OptionalPositive = None
    kv_bits: OptionalPositive = None


def operate(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    *,
    serve_bits: Number | None = None,
    kv_bits: Number | None = None,
    batch: Number | None = None,
) -> Operation:
    """Return the cheapest way to serve a model within the request's limits.

    Every argument may hold arrays of one shape; the answer is differentiable in all numbers on
    the branch that it takes (the group, and the limit that binds).

    Args:
        shape: of the model.
        servers: the chips.
        request: lengths and limits.
        serve_bits, kv_bits: the formats, instead of the servers' own.
        batch: hold the batch; limits are then not looked at, memory is.

    Returns:
        An `Operation`. Inside `jax.jit`, and for arrays, one that is not possible has a
        non-zero `status` and NaN.

    Raises:
        ValueError: an argument is outside its domain, or the chip has no such format.
        ServingError: outside of `jit`, a single model does not fit, or no batch is within a
            limit; the sentence says the least that would do.

    Example:
        >>> from scaling_jax.shapes import TransformerShape
        >>> llama = TransformerShape(d_model=8192, layers=80, heads=64, kv_heads=8, d_ff=28672,
        ...                          vocab_size=128256, tied=False, gated=True)
        >>> best = operate(llama, Servers.of("H100-SXM", 8), Request(max_tpot=0.05))
        >>> int(best.chips), Bound(int(best.bound)).name
        (4, 'MEMORY')
    """
    given = _Given(batch=batch, serve_bits=serve_bits, kv_bits=kv_bits)
    bits = Formats(*servers.formats(serve_bits, kv_bits))
    check_inputs({"shape": shape, "servers": servers, "request": request, "": given})
    check_formats(servers, bits)
    check_heads(shape)
    scenario = as_floats(shape=shape, servers=servers, request=request, bits=bits, batch=batch)
    answer = _operate(*scenario)
    refuse(answer, servers, request, lambda: candidates(*scenario))
    return answer


@jax.jit
def _operate(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    bits: Formats,
    batch: Number | None,
) -> Operation:
    return best_of(candidates(shape, servers, request, bits, batch))


class Candidate(NamedTuple):
    """One group: what it does, and what would make it possible.

    Attributes:
        operation: at the largest batch that the limits allow, or at one if none does.
        room: sequences that fit into memory.
        replica: on which the operation runs.
    """

    operation: Operation
    room: Number
    replica: Replica


def candidates(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    bits: Formats,
    batch: Number | None = None,
) -> list[Candidate]:
    """Return what each of the servers' groups could do; pure, for use under `jax.jit`."""
    group = functools.partial(_group, shape, servers, request, bits, batch)
    return [group(chips) for chips in servers.groups]


def best_of(found: list[Candidate]) -> Operation:
    """Return the cheapest possible operation, or one whose values are NaN."""
    best = found[0].operation
    for each in found[1:]:
        other = each.operation
        cheaper = other.dollars_per_request < best.dollars_per_request
        better = (other.status < best.status) | ((other.status == best.status) & cheaper)
        best = jax.tree.map(functools.partial(jnp.where, better), other, best)
    spoilt = best.status != Status.CONVERGED
    return jax.tree.map(
        lambda x: jnp.where(spoilt, jnp.nan, x) if jnp.issubdtype(x.dtype, jnp.inexact) else x,
        best,
    )


def _group(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    bits: Formats,
    given: Number | None,
    chips: int,
) -> Candidate:
    """Return what one group, or so many as there are stages, can do.

    Stages work on batches of their own one after the other, so that a step of all stages takes
    `batch / stages` sequences along.
    """
    replica = replica_of(shape, servers, request, bits, chips)
    limits = replica.limits()
    if given is None:
        fits = limits.batch >= 1
        each = jnp.maximum(limits.batch, 1.0)
    else:
        each = given / servers.stages
        fits = limits.room >= each
    operation = replica.operation(each)
    if given is None:
        bound = jnp.where(limits.bound < 0, operation.bound, limits.bound)
        operation = dataclasses.replace(operation, bound=bound)
    infeasible = jnp.where(fits, Status.CONVERGED.value, Status.INFEASIBLE.value)
    status = jnp.maximum(operation.status, infeasible)
    operation = dataclasses.replace(operation, status=status)
    return Candidate(operation, limits.room * servers.stages, replica)
