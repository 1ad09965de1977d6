"""What one step of a served model must read and compute, whatever it runs on.

A step carries a batch of sequences through all layers. Everything that it does is a part that
does not depend on the batch, a part proportional to it, and, in mixtures of experts, the
experts that the batch happens to reach.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number, Record
from scaling_jax.shapes import TransformerShape

_STATIC: Any = {"static": True}
_ACTIVATION_BYTES = 2  # 16-bit activations between layers
_HEAD_BYTES = 2  # the head stays in 16 bits when the rest is quantised


class Load(Record):
    """What one sequence brings into a step.

    Attributes:
        tokens: positions decoded (more than one when guesses are verified; 0 in pure prefill).
        context: tokens in its cache, that a decoded position sees.
        prefill: prompt tokens that the step reads for it besides: in steady state as many
            as new requests bring.
        prompt: the length of the prompts that they belong to.
        cached: the share of a prompt that is in the cache already and only looked at.
    """

    tokens: Number = 1.0
    context: Number = 0.0
    prefill: Number = 0.0
    prompt: Number = 0.0
    cached: Number = 0.0


class Work(Record):
    """Bytes and FLOPs of one step: fixed, or per sequence of the batch.

    Attributes:
        weight_bytes: matrices that every step reads; the input embedding is not one.
        kv_bytes: keys and values, per sequence; all copies that a group holds.
        decode_flops, prefill_flops: per sequence.
        tokens, read: positions decoded and prompt tokens read, per sequence.
        layers: of the model.
        width: of the model, which tokens carry between layers and chips.
        routed_bytes: matrices of all experts among which tokens are routed; None: no experts.
        idle: log of the share of experts that one sequence leaves idle, so that a batch B
            reaches 1 - exp(B idle) of them, routed evenly and independently.
        experts: experts of one layer.
        expert_layers: layers that have them.
        reduces: all-reduces per layer, of tensor parallelism.
    """

    weight_bytes: Number
    kv_bytes: Number
    decode_flops: Number
    prefill_flops: Number = 0.0
    tokens: Number = 1.0
    read: Number = 0.0
    layers: Number = 0.0
    width: Number = 0.0
    routed_bytes: Number | None = None
    idle: Number = 0.0
    experts: Number = 0.0
    expert_layers: Number = 0.0
    reduces: int = dataclasses.field(default=2, metadata=_STATIC)

    def reached(self, batch: Number) -> Number:
        """Return the share of experts that a batch reaches."""
        return -jnp.expm1(batch * self.idle)

    def bytes(self, batch: Number) -> Number:
        """Return the bytes that one step reads, all chips together."""
        read = self.weight_bytes + batch * self.kv_bytes
        if self.routed_bytes is None:
            return read
        return read + self.reached(batch) * self.routed_bytes


def float_of(number: Any) -> Any:
    """Return an integer of Python's as a float, anything else as it is."""
    return float(number) if isinstance(number, int) else number


def bytes_per_weight(bits: Number) -> Number:
    """Return the bytes of one weight: below 8 bits a scale is kept for every 32 of them.

    4 bits take 0.5625 bytes, as NVFP4 and groups of 32 with 16-bit scales do.
    """
    return (bits + jnp.where(jnp.asarray(bits) < 8, 0.5, 0.0)) / 8


def work_of(
    shape: TransformerShape,
    load: Load,
    *,
    chips: Number = 1,
    serve_bits: Number = 16,
    kv_bits: Number = 16,
    kv_by_batch: bool = False,
) -> Work:
    """Return the work of a step of a model.

    Args:
        shape: of the model.
        load: what each sequence brings.
        chips: of the tensor-parallel group. Beyond one chip per key-value head the cache is
            held in copies, unless it is split by sequences (`kv_by_batch`).
        serve_bits, kv_bits: of weights, and of keys and values.
        kv_by_batch: whether each chip caches sequences of its own.

    Example:
        >>> llama = TransformerShape(d_model=4096, layers=32, heads=32, kv_heads=8, d_ff=14336,
        ...                          vocab_size=128256, tied=False, gated=True)
        >>> work = work_of(llama, Load(context=1024), serve_bits=8)
        >>> print(f"{work.weight_bytes:.4g} {work.kv_bytes:.4g} {work.decode_flops:.4g}")
        8.03e+09 1.342e+08 1.555e+10
    """
    # Counts as floats: an integer of billions does not fit 32 bits.
    shape = jax.tree.map(float_of, shape)
    head = shape.vocab_size * shape.d_model
    always = shape.matmul_params - shape.routed_params
    copies = _copies(shape, chips, kv_by_batch)
    old = load.cached * load.prompt
    seen = old + (load.prompt - old + 1) / 2
    matrices = 2 * shape.active_matmul_params
    return Work(
        weight_bytes=always * bytes_per_weight(serve_bits) + head * _HEAD_BYTES,
        kv_bytes=shape.kv_cache_bytes(load.context, bytes_per_number=1) * kv_bits / 8 * copies,
        decode_flops=load.tokens
        * (matrices + 2 * head + shape.score_flops(load.context, absorbed=True)),
        prefill_flops=load.prefill * (matrices + shape.score_flops(seen)),
        tokens=load.tokens,
        read=load.prefill,
        layers=shape.layers,
        width=shape.d_model,
        reduces=1 if shape.parallel else 2,
        **_routed(shape, serve_bits, load.tokens + load.prefill),
    )


def _routed(shape: TransformerShape, serve_bits: Number, positions: Number) -> dict[str, Any]:
    if shape.experts is None:
        return {}
    experts = shape.experts
    # All experts at once have no logarithm of what is idle.
    active = jnp.minimum(experts.active / experts.count, 1 - 1e-6)
    return {
        "routed_bytes": shape.routed_params * bytes_per_weight(serve_bits),
        "idle": positions * jnp.log1p(-active),
        "experts": experts.count,
        "expert_layers": shape.expert_layers,
    }


def _copies(shape: TransformerShape, chips: Number, kv_by_batch: bool) -> Number:
    """Return how many times a group holds its cache."""
    if kv_by_batch:
        return 1.0
    heads = 1 if shape.latent is not None else shape.kv_heads
    return jnp.maximum(1.0, chips / heads)


def weight_memory(shape: TransformerShape, serve_bits: Number) -> Number:
    """Return the bytes that a model's weights occupy; embedding and head stay in 16 bits."""
    shape = jax.tree.map(float_of, shape)
    return shape.matmul_params * bytes_per_weight(serve_bits) + (
        shape.embedding_params * _HEAD_BYTES
    )


def kv_memory(
    shape: TransformerShape,
    length: Number,
    *,
    chips: Number = 1,
    kv_bits: Number = 16,
    kv_by_batch: bool = False,
) -> Number:
    """Return the bytes that a group's cache of one sequence occupies."""
    shape = jax.tree.map(float_of, shape)
    copies = _copies(shape, chips, kv_by_batch)
    return shape.kv_cache_bytes(length, bytes_per_number=1) * kv_bits / 8 * copies
