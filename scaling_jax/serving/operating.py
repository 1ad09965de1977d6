"""The best operating point: how many sequences at once, on how many chips.

Cost per token falls with the batch until a limit is met, so that at a given group the best
batch is the largest that time, memory and engine allow, in closed form; the group is the
cheapest of a short list.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number, OptionalPositive, Record
from scaling_jax.serving.records import Operation, Request
from scaling_jax.serving.refusal import check_formats, check_heads, check_inputs, refuse
from scaling_jax.serving.replica import Formats, Limits, Replica, replica_of
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
        >>> from scaling_jax.serving import Bound
        >>> llama = TransformerShape(d_model=8192, layers=80, heads=64, kv_heads=8, d_ff=28672,
        ...                          vocab_size=128256, tied=False, gated=True)
        >>> best = operate(llama, Servers.of("H100-SXM", 8), Request(max_tpot=0.05))
        >>> int(best.chips), Bound(int(best.bound)).name
        (2, 'TPOT')
    """
    given = _Given(batch=batch, serve_bits=serve_bits, kv_bits=kv_bits)
    bits = Formats(*servers.formats(serve_bits, kv_bits))
    check_inputs({"shape": shape, "servers": servers, "request": request, "": given})
    check_formats(servers, bits)
    check_heads(shape)
    scenario = as_floats(shape=shape, servers=servers, request=request, bits=bits, batch=batch)
    answer = _operate(*scenario)
    refuse(answer, servers, request, lambda: _replicas(*scenario[:-1]))
    return answer


def _replicas(
    shape: TransformerShape, servers: Servers, request: Request, bits: Formats
) -> list[Replica]:
    return [replica_of(shape, servers, request, bits, group) for group in servers.groups]


@jax.jit
def _operate(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    bits: Formats,
    batch: Number | None,
) -> Operation:
    return best_operation(shape, servers, request, bits, batch)


def best_operation(
    shape: TransformerShape,
    servers: Servers,
    request: Request,
    bits: Formats,
    batch: Number | None = None,
) -> Operation:
    """Return the best operation; pure, for use in a compiled program.

    The groups are compared by their price alone, and the best is then looked at in full.
    """
    dtype = jnp.result_type(float, *jax.tree.leaves((shape, servers, request, bits)))
    groups = jnp.array(servers.groups, dtype)

    def dollars(group: jax.Array) -> jax.Array:
        replica = replica_of(shape, servers, request, bits, group)
        each, possible, _ = _batch(replica, batch)
        return jnp.where(possible, replica.dollars_per_request(each), jnp.inf)

    cheapest = jnp.argmin(jax.vmap(dollars)(groups), axis=0)
    # A running choice, not a look-up: that runs on any sharding.
    best: Number = float(servers.groups[0])
    for place, group in enumerate(servers.groups):
        best = jnp.where(cheapest == place, jnp.asarray(group, dtype), best)
    return _in_full(replica_of(shape, servers, request, bits, best), batch)


def _batch(replica: Replica, given: Number | None) -> tuple[Any, Any, Limits]:
    """Return the batch of one stage, whether it is possible, and the limits.

    Stages work on batches of their own one after the other.
    """
    limits = replica.limits()
    if given is None:
        most = limits.batch
        return jnp.maximum(most, 1.0), most >= 1, limits
    each = given / replica.servers.stages + 0 * limits.room
    return each, limits.room >= each, limits


def _in_full(replica: Replica, given: Number | None) -> Operation:
    """Return the operation at the best batch, NaN where it is not possible."""
    batch, possible, limits = _batch(replica, given)
    operation = replica.operation(batch)
    bound = operation.bound
    if given is None:
        bound = jnp.where(limits.bound < 0, bound, limits.bound)
    infeasible = jnp.where(possible, Status.CONVERGED.value, Status.INFEASIBLE.value)
    status = jnp.maximum(operation.status, infeasible)
    blank = jax.tree.map(
        lambda x: (
            jnp.where(status == Status.CONVERGED, x, jnp.nan)
            if jnp.issubdtype(x.dtype, jnp.inexact)
            else x
        ),
        operation,
    )
    return dataclasses.replace(blank, bound=bound, status=status)
