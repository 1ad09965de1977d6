"""Causal attention and what tells it positions; shape suffixes as in the model.

S queries, the last of T positions   N = B · G   R = H / G · S
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

Kernel = Literal["xla", "cudnn"]
_ROTARY_BASE = 10_000.0  # Su et al., arXiv 2104.09864
_BLOCKS = 4  # of queries, on CPU


@jax.named_scope("attention")
def attend(
    q_BxTxHxK: jax.Array,
    k_BxTxGxK: jax.Array,
    v_BxTxGxK: jax.Array,
    bias_1xHxTxT: jax.Array | None,
    implementation: Kernel | None,
) -> jax.Array:
    """Return for each query the mean of the values up to it, weighted by softmax.

    The implementation is that of `jax.nn.dot_product_attention`: "xla" anywhere, "cudnn" (flash
    attention, which needs bfloat16) on GPU. None lets it choose, but on CPU takes our own, the
    faster one there.
    """
    if implementation is None and jax.default_backend() == "cpu":
        return _attend_on_cpu(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, bias_1xHxTxT)
    return jax.nn.dot_product_attention(
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK,
        bias=bias_1xHxTxT, is_causal=True, implementation=implementation,
    )  # fmt: skip


def alibi_slopes(heads: int) -> list[float]:
    """Return ALiBi's slope of each head: 2^(-8 i / n), interleaved when n is no power of two.

    Example:
        >>> alibi_slopes(4)
        [0.25, 0.0625, 0.015625, 0.00390625]
    """
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
    # Press et al.: the rest are every other slope of twice as many heads.
    return slopes + [2.0 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)]


def alibi_bias(heads: int, length: int, dtype: Any) -> jax.Array:
    """Return -slope · distance, 1xHxTxT; what lies ahead is masked by attention itself."""
    position_T = jnp.arange(length, dtype=jnp.float32)
    distance_TxT = jnp.maximum(position_T[:, None] - position_T[None, :], 0.0)
    slopes_H = jnp.asarray(alibi_slopes(heads), jnp.float32)
    return (-slopes_H[:, None, None] * distance_TxT[None])[None].astype(dtype)


def rotate(x_BxTxHxK: jax.Array) -> jax.Array:
    """Turn each pair of a head's numbers by its position times the pair's frequency."""
    half = x_BxTxHxK.shape[-1] // 2
    frequency = _ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle_TxK = jnp.arange(x_BxTxHxK.shape[1], dtype=jnp.float32)[:, None] * frequency[None, :]
    cos, sin = (
        f(angle_TxK)[None, :, None, :].astype(x_BxTxHxK.dtype) for f in (jnp.cos, jnp.sin)
    )
    first, second = x_BxTxHxK[..., :half], x_BxTxHxK[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def _attend_on_cpu(
    q_BxTxHxK: jax.Array,
    k_BxTxGxK: jax.Array,
    v_BxTxGxK: jax.Array,
    bias_1xHxTxT: jax.Array | None,
) -> jax.Array:
    """Return what `jax.nn.dot_product_attention` does, causal, in the order that suits a CPU.

    XLA multiplies a batch of matrices on one core, but several batches side by side: hence the
    blocks of queries, each with the keys up to its last.
    """
    length, mixed = q_BxTxHxK.shape[1], []
    step = math.ceil(length / _BLOCKS)
    for start in range(0, length, step):
        mine, seen = slice(start, start + step), slice(start + step)
        bias = None if bias_1xHxTxT is None else bias_1xHxTxT[:, :, mine, seen]
        mixed.append(_mixed(q_BxTxHxK[:, mine], k_BxTxGxK[:, seen], v_BxTxGxK[:, seen], bias))
    return jnp.concatenate(mixed, axis=1)


def _mixed(
    q_BxSxHxK: jax.Array,
    k_BxTxGxK: jax.Array,
    v_BxTxGxK: jax.Array,
    bias_1xHxSxT: jax.Array | None,
) -> jax.Array:
    """Return for each of the last S <= T positions the values it sees, weighted by softmax.

    N products of the R queries that share a head of keys. Keys and values lie transposed, so
    that no gradient needs a transposed score, and the weights are normalised after they met the
    values: those sums are over head size, not over length.
    """
    (batch, queries, heads, size), (_, length, groups, _) = q_BxSxHxK.shape, k_BxTxGxK.shape
    q_NxRxK = jnp.swapaxes(q_BxSxHxK, 1, 2).reshape(batch * groups, -1, size)
    q_NxRxK /= math.sqrt(size)
    k_NxKxT, v_NxKxT = (
        jnp.transpose(each, (0, 2, 3, 1)).reshape(batch * groups, size, length)
        for each in (k_BxTxGxK, v_BxTxGxK)
    )
    behind_1x1xSxT = jnp.tri(queries, length, length - queries, dtype=bool)[None, None]
    bias = jnp.where(behind_1x1xSxT, 0.0 if bias_1xHxSxT is None else bias_1xHxSxT, -jnp.inf)
    score = jnp.matmul(q_NxRxK, k_NxKxT, preferred_element_type=jnp.float32)
    score = score.reshape(batch, heads, queries, length) + bias
    score_NxRxT = score.reshape(batch * groups, -1, length)
    top_NxRx1 = jax.lax.stop_gradient(jnp.max(score_NxRxT, axis=-1, keepdims=True))
    weight_NxRxT = jnp.exp(score_NxRxT - top_NxRx1)
    mixed_NxRxK = jnp.einsum("nrt,nkt->nrk", weight_NxRxT.astype(v_NxKxT.dtype), v_NxKxT)
    mixed_NxRxK /= jnp.sum(weight_NxRxT, axis=-1, keepdims=True).astype(v_NxKxT.dtype)
    return jnp.swapaxes(mixed_NxRxK.reshape(batch, heads, queries, size), 1, 2)
