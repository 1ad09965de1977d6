"""How long one step takes: the roofline of its bytes and FLOPs, communication, overheads.

The sum of the parts predicts measured steps best (prefill rides on decode steps, overlap is
imperfect, tiles are padded); their exact maximum is the textbook's bound.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number, Record
from scaling_jax.serving.servers import Servers
from scaling_jax.serving.work import Work
from scaling_jax.solve import root

_HALLEY_STEPS = 6
# One hop between nodes, in a tree over the network (NCCL's tuning, as in arXiv 2506.04645).
_NETWORK_HOP = 20e-6
_STATIC: Any = {"static": True}


class Step(Record):
    """The seconds of one step, as a function of its batch.

    Attributes:
        weights: reading what every step reads.
        kv: reading keys and values, per sequence.
        decode, prefill: arithmetic, per sequence.
        overhead: communication and overheads whatever the batch.
        decode_traffic, prefill_traffic: activations, all-reduces and overheads in proportion
            to decoded and to read positions, per sequence.
        routed: reading and running all experts; None: there are none.
        idle: log of the share of experts that one sequence leaves idle.
        overlap: how memory and arithmetic meet: their "sum", their "max"imum, or "attention"
            adds to the maximum of the matrices' two times.
    """

    weights: Number
    kv: Number
    decode: Number
    prefill: Number
    overhead: Number
    decode_traffic: Number
    prefill_traffic: Number
    routed: Number | None
    idle: Number
    overlap: str = dataclasses.field(default="sum", metadata=_STATIC)

    def memory(self, batch: Number) -> Number:
        """Return the seconds of reading memory."""
        fixed = self.weights + batch * self.kv
        if self.routed is None:
            return fixed
        return fixed - self.routed * jnp.expm1(batch * self.idle)

    def arithmetic(self, batch: Number) -> Number:
        """Return the seconds of computing."""
        return batch * (self.decode + self.prefill)

    def rest(self, batch: Number) -> Number:
        """Return the seconds of communication and overheads."""
        return self.overhead + batch * (self.decode_traffic + self.prefill_traffic)

    def seconds(self, batch: Number) -> Number:
        """Return the seconds of a step of a batch."""
        memory, arithmetic = self.memory(batch), self.arithmetic(batch)
        if self.overlap == "sum":
            return memory + arithmetic + self.rest(batch)
        if self.overlap == "max":
            return jnp.maximum(memory, arithmetic) + self.rest(batch)
        kv = batch * self.kv
        return kv + jnp.maximum(memory - kv, arithmetic) + self.rest(batch)

    def prefill_seconds(self, batch: Number) -> Number:
        """Return the part of a step that its prompt tokens add to it."""
        without = dataclasses.replace(
            self, prefill=0 * self.prefill, prefill_traffic=0 * self.prefill_traffic
        )
        return self.seconds(batch) - without.seconds(batch)

    def largest(self, seconds: Number) -> Number:
        """Return the largest batch whose step takes no longer; below 1 where none does.

        Closed form for dense models. With experts the time bends with the batch, and a fixed
        number of Halley's steps ends at rounding error.
        """
        traffic = self.decode_traffic + self.prefill_traffic
        compute = self.decode + self.prefill
        left = seconds - self.overhead
        if self.overlap == "sum":
            return self._memory_bound(left, self.kv + compute + traffic)
        kv = 0 * self.kv if self.overlap == "max" else self.kv
        by_arithmetic = left / (compute + kv + traffic)
        return jnp.minimum(self._memory_bound(left, self.kv + traffic), by_arithmetic)

    def _memory_bound(self, left: Number, slope: Number) -> Number:
        """Solve weights + routed (1 - exp(B idle)) + slope B = left for B."""
        over = left - self.weights
        if self.routed is None:
            return over / slope
        return _bent_root(over, slope, self.routed, -self.idle)


def _bent_root(over: Number, slope: Number, height: Number, rate: Number) -> jax.Array:
    """Solve slope B + height (1 - exp(-rate B)) = over for B; 0 where `over` is negative.

    The left side is concave in B: a tangent from the left never overshoots, nor does the line
    on which all experts are read.
    """
    over = jnp.maximum(over, 0.0)

    def residual(batch: jax.Array) -> jax.Array:
        return jnp.asarray(slope * batch + height * (1 - jnp.exp(-rate * batch)) - over)

    def solve() -> jax.Array:
        batch = jnp.maximum(over / (slope + height * rate), (over - height) / slope)
        for _ in range(_HALLEY_STEPS):
            idle = height * jnp.exp(-rate * batch)
            value, first = slope * batch + height - idle - over, slope + rate * idle
            batch = batch - 2 * value * first / (2 * first**2 + value * rate**2 * idle)
        return jnp.asarray(batch)

    return root(residual, solve)


class AllReduce(NamedTuple):
    """Seconds of an all-reduce: a fixed part, and one per byte of what is reduced."""

    fixed: Number
    per_byte: Number


def all_reduce(servers: Servers, chips: Number) -> AllReduce:
    """Return the time of an all-reduce over a group, as a line in its bytes M.

    Within a group of linked chips  a + b (n - 2) + 2 (n - 1)/n · M/link;  beyond it the shares
    of the linked groups are reduced over the network too, whose hops cost a fixed time each.
    Nothing for one chip.
    """
    own = servers.efficiency
    inside = jnp.minimum(chips, servers.linked)
    groups = chips / inside
    several, far = jnp.asarray(chips) > 1, groups > 1
    near = 2 * (inside - 1) / inside / (servers.link * own.link)
    across = 2 * (groups - 1) / groups / inside / (servers.network * own.link)
    fixed = own.reduce_seconds + own.rank_seconds * (inside - 2)
    hops = _NETWORK_HOP * jnp.log2(jnp.where(far, groups, 1.0))
    return AllReduce(
        fixed=jnp.where(several, fixed + hops, 0.0),
        per_byte=jnp.where(several, near + across, 0.0),
    )


def step_of(work: Work, servers: Servers, *, chips: Number = 1, serve_bits: Number) -> Step:
    """Return the step of some work on a tensor-parallel group of servers.

    Args:
        work: what the step does.
        servers: the chips and their efficiency.
        chips: of the group.
        serve_bits: of the weights, which choose the arithmetic.

    Example:
        A 30B model in 8 bits with caches of 8192 times 100 kB, on sixteen TPU v5e (the
        scaling book's quiz); the cache adds to the larger of the matrices' times.

        >>> from scaling_jax.serving import IDEAL
        >>> servers = Servers.of("TPU-v5e", 8, efficiency=IDEAL, overlap="attention")
        >>> work = Work(weight_bytes=30e9, kv_bytes=819.2e6, decode_flops=60e9)
        >>> step = step_of(work, servers, chips=16, serve_bits=16)
        >>> print(f"{step.seconds(4) * 1e3:.1f} {step.seconds(256) * 1e3:.0f}")
        2.5 21
    """
    own = servers.efficiency
    stream = chips * servers.bandwidth * own.bandwidth
    flops = chips * servers.sustained(serve_bits)
    reduce, count = all_reduce(servers, chips), work.reduces * work.layers
    # What a token takes beside matrices: its own traffic, and its part of the all-reduces.
    traffic = work.layers * own.token_traffic / (chips * servers.bandwidth)
    each = 2 * work.width * (traffic + count * reduce.per_byte)  # 16-bit numbers
    routed = None
    if work.routed_bytes is not None:
        run = work.expert_layers * work.experts * own.expert_seconds / chips
        routed = work.routed_bytes / stream + run
    return Step(
        weights=work.weight_bytes / stream,
        kv=work.kv_bytes / (chips * servers.bandwidth * own.kv_bandwidth),
        decode=work.decode_flops / (flops * own.decode_mfu),
        prefill=work.prefill_flops / (flops * own.prefill_mfu),
        overhead=work.layers * own.layer_seconds
        + work.expert_layers * own.expert_layer_seconds
        + own.step_seconds
        + count * reduce.fixed,
        decode_traffic=each * work.tokens + own.sequence_seconds,
        prefill_traffic=each * work.read,
        routed=routed,
        idle=work.idle,
        overlap=servers.overlap,
    )
