"""The decoder of the validation sweep: ALiBi, grouped-query attention, no biases, tied.

Written in Flax NNX and used as a functional core: `init` and `Transformer` are split into a
static graph and a pytree of parameters once, and everything downstream is a plain function
of that pytree. Each part has a named scope, by which a profile tells them apart. Shape
suffixes:

    B batch   T positions   D width   H query heads   G key-value heads   K head size
    F MLP width   V vocabulary
"""

import dataclasses
import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.shapes import TransformerShape

Params = Any  # a pytree of arrays
_EPSILON = 1e-5  # of the norms
_ROTARY_BASE = 10_000.0  # Su et al., arXiv 2104.09864


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What a model computes beyond its shape.

    Attributes:
        positions: "alibi" (Press et al., arXiv 2108.12409) as in the paper, or "rotary".
        dtype: of activations and matrix products; parameters stay float32.
        remat: recompute each layer's activations in the backward pass.
        attention: what `jax.nn.dot_product_attention` runs on: "xla" anywhere, "cudnn" (flash
            attention, which needs bfloat16) on GPU. None lets it choose, but on CPU takes our
            own, which is faster there.
    """

    positions: Literal["alibi", "rotary"] = "alibi"
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False
    attention: Literal["xla", "cudnn"] | None = None


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


class Norm(nnx.Module):
    """Root-mean-square norm with a scale, in 32-bit."""

    def __init__(self, d_model: int) -> None:
        self.scale = nnx.Param(jnp.ones((d_model,), jnp.float32))

    @jax.named_scope("norm")
    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        x = x_BxTxD.astype(jnp.float32)
        power = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        return (x * jax.lax.rsqrt(power + _EPSILON) * self.scale[...][None, None, :]).astype(
            x_BxTxD.dtype
        )


class Attention(nnx.Module):
    """Causal grouped-query attention: H query heads share G heads of keys and values."""

    def __init__(
        self, shape: TransformerShape, options: ModelOptions, *, rngs: nnx.Rngs
    ) -> None:
        self.shape, self.options = shape, options
        # One product for queries, keys and values.
        self.inputs = _matrix(rngs, shape.d_model, shape.d_model + 2 * shape.kv_dim)
        self.output = _matrix(rngs, shape.d_model, shape.d_model, depth=shape.layers)

    @jax.named_scope("projections")
    def __call__(self, x_BxTxD: jax.Array, bias_1xHxTxT: jax.Array | None) -> jax.Array:
        shape, (batch, length, _) = self.shape, x_BxTxD.shape
        edges = [shape.d_model, shape.d_model + shape.kv_dim]
        parts = jnp.split(_times(x_BxTxD, self.inputs[...]), edges, axis=-1)
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK = (
            part.reshape(batch, length, -1, shape.head_dim) for part in parts
        )
        if self.options.positions == "rotary":
            q_BxTxHxK, k_BxTxGxK = _rotate(q_BxTxHxK), _rotate(k_BxTxGxK)
        mixed_BxTxHxK = self.attend(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, bias_1xHxTxT)
        return _times(mixed_BxTxHxK.reshape(batch, length, -1), self.output[...])

    @jax.named_scope("attention")
    def attend(
        self,
        q_BxTxHxK: jax.Array,
        k_BxTxGxK: jax.Array,
        v_BxTxGxK: jax.Array,
        bias_1xHxTxT: jax.Array | None,
    ) -> jax.Array:
        """Return for each query the mean of the values up to it, weighted by softmax."""
        if self.options.attention is None and jax.default_backend() == "cpu":
            return _attend_on_cpu(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, bias_1xHxTxT)
        return jax.nn.dot_product_attention(
            q_BxTxHxK, k_BxTxGxK, v_BxTxGxK,
            bias=bias_1xHxTxT, is_causal=True, implementation=self.options.attention,
        )  # fmt: skip


class Mlp(nnx.Module):
    """GELU between two matrices, or SwiGLU (Shazeer, arXiv 2002.05202) when gated."""

    def __init__(self, shape: TransformerShape, *, rngs: nnx.Rngs) -> None:
        self.gated = shape.gated
        self.inputs = _matrix(rngs, shape.d_model, shape.d_ff * (2 if shape.gated else 1))
        output_FxD = _matrix(rngs, shape.d_ff, shape.d_model, depth=shape.layers)
        # Transposed: a CPU multiplies faster for the gradient of a wide matrix than a tall one.
        self.output = nnx.Param(output_FxD[...].T)

    @jax.named_scope("mlp")
    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        hidden = _times(x_BxTxD, self.inputs[...])
        with jax.named_scope("activation"):
            # Computed again in the backward pass, which costs less than to keep it.
            hidden = jax.checkpoint(_swiglu if self.gated else jax.nn.gelu)(hidden)
        return _times(hidden, self.output[...].T)


class Block(nnx.Module):
    """One layer: attention and an MLP, each behind a norm and beside a residual path."""

    def __init__(
        self, shape: TransformerShape, options: ModelOptions, *, rngs: nnx.Rngs
    ) -> None:
        self.norm_attention, self.norm_mlp = Norm(shape.d_model), Norm(shape.d_model)
        self.attention = Attention(shape, options, rngs=rngs)
        self.mlp = Mlp(shape, rngs=rngs)

    @jax.named_scope("block")
    def __call__(self, x_BxTxD: jax.Array, bias_1xHxTxT: jax.Array | None) -> jax.Array:
        x_BxTxD += self.attention(self.norm_attention(x_BxTxD), bias_1xHxTxT)
        return x_BxTxD + self.mlp(self.norm_mlp(x_BxTxD))


class Transformer(nnx.Module):
    """The model: tokens in, logits of each next token out.

    The layers are unrolled: a sweep's models are shallow, an unrolled program runs faster,
    and only there does XLA's cost analysis count every layer.
    """

    def __init__(
        self, shape: TransformerShape, options: ModelOptions, *, rngs: nnx.Rngs
    ) -> None:
        shape.check()
        self.shape, self.options = shape, options
        self.embedding = _matrix(rngs, shape.d_model, shape.vocab_size, transposed=True)
        self.blocks = nnx.List([Block(shape, options, rngs=rngs) for _ in range(shape.layers)])
        self.norm = Norm(shape.d_model)
        if not shape.tied:
            self.head = _matrix(rngs, shape.d_model, shape.vocab_size, transposed=True)

    def __call__(self, tokens_BxT: jax.Array) -> jax.Array:
        x_BxTxD = self.embedding[...].astype(self.options.dtype)[tokens_BxT]
        bias_1xHxTxT = None
        if self.options.positions == "alibi":
            bias_1xHxTxT = _alibi(self.shape.heads, tokens_BxT.shape[-1], x_BxTxD.dtype)
        for block in self.blocks:
            layer = jax.checkpoint(block) if self.options.remat else block
            x_BxTxD = layer(x_BxTxD, bias_1xHxTxT)
        head_VxD = self.embedding if self.shape.tied else self.head
        return _times(self.norm(x_BxTxD), head_VxD[...].T)


def build(
    shape: TransformerShape, options: ModelOptions, key: jax.Array
) -> tuple["nnx.GraphDef[Transformer]", Params]:
    """Return the model's static graph and its parameters, drawn with a key."""
    graph, state = nnx.split(Transformer(shape, options, rngs=nnx.Rngs(key)))
    return graph, nnx.as_pure(state)


@functools.cache
def graph_of(shape: TransformerShape, options: ModelOptions) -> "nnx.GraphDef[Transformer]":
    """Return the static graph alone, without drawing parameters."""
    return nnx.split(nnx.eval_shape(lambda: Transformer(shape, options, rngs=nnx.Rngs(0))))[0]


def apply(
    graph: "nnx.GraphDef[Transformer]", params: Params, tokens_BxT: jax.Array
) -> jax.Array:
    """Return the logits BxTxV of each next token."""
    return nnx.merge(graph, params)(tokens_BxT)


@jax.named_scope("loss")
def next_token_loss(
    graph: "nnx.GraphDef[Transformer]", params: Params, windows_BxT1: jax.Array
) -> jax.Array:
    """Return the mean cross-entropy, nats per token, of windows of T + 1 tokens.

    The sum over the vocabulary is in 32-bit whatever the model computes in.
    """
    logits_BxTxV = apply(graph, params, windows_BxT1[:, :-1]).astype(jnp.float32)
    targets_BxTx1 = windows_BxT1[:, 1:, None]
    chosen_BxT = jnp.take_along_axis(logits_BxTxV, targets_BxTx1, axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits_BxTxV, axis=-1) - chosen_BxT)


def _matrix(
    rngs: nnx.Rngs, inputs: int, outputs: int, *, depth: int = 0, transposed: bool = False
) -> nnx.Param:
    """Return a matrix of variance 1/inputs, or 1/(2 depth inputs) when it ends a residual."""
    scale = 1 / math.sqrt(inputs * max(2 * depth, 1))
    size = (outputs, inputs) if transposed else (inputs, outputs)
    return nnx.Param(scale * jax.random.normal(rngs.params(), size, jnp.float32))


def _swiglu(hidden: jax.Array) -> jax.Array:
    gate, value = jnp.split(hidden, 2, axis=-1)
    return jax.nn.silu(gate) * value


def _times(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """Return x @ matrix, as one product of two matrices.

    Flat, because XLA's CPU code transposes whole activations for the gradient of a matrix that
    is summed over two axes, batch and positions.
    """
    flat = x.reshape(-1, x.shape[-1]) @ matrix.astype(x.dtype)
    return flat.reshape(*x.shape[:-1], -1)


def _attend_on_cpu(
    q_BxTxHxK: jax.Array,
    k_BxTxGxK: jax.Array,
    v_BxTxGxK: jax.Array,
    bias_1xHxTxT: jax.Array | None,
) -> jax.Array:
    """Return what `jax.nn.dot_product_attention` does, causal, in the order that suits a CPU.

    XLA multiplies a batch of matrices on one core, but several batches side by side: so there
    are four blocks of queries, each with the keys up to its last.
    """
    length, mixed = q_BxTxHxK.shape[1], []
    step = math.ceil(length / 4)
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

    N = B · G products of the R = H/G · S queries that share a head of keys. Keys and values lie
    transposed, so that no gradient needs a transposed score, and the weights are normalised
    after they met the values: those sums are over head size, not over length.
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


def _alibi(heads: int, length: int, dtype: Any) -> jax.Array:
    """Return -slope · distance, 1xHxTxT; what lies ahead is masked by attention itself."""
    position_T = jnp.arange(length, dtype=jnp.float32)
    distance_TxT = jnp.maximum(position_T[:, None] - position_T[None, :], 0.0)
    slopes_H = jnp.asarray(alibi_slopes(heads), jnp.float32)
    return (-slopes_H[:, None, None] * distance_TxT[None])[None].astype(dtype)


def _rotate(x_BxTxHxK: jax.Array) -> jax.Array:
    """Turn each pair of a head's numbers by its position times the pair's frequency."""
    half = x_BxTxHxK.shape[-1] // 2
    frequency = _ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle_TxK = jnp.arange(x_BxTxHxK.shape[1], dtype=jnp.float32)[:, None] * frequency[None, :]
    cos, sin = (
        f(angle_TxK)[None, :, None, :].astype(x_BxTxHxK.dtype) for f in (jnp.cos, jnp.sin)
    )
    first, second = x_BxTxHxK[..., :half], x_BxTxHxK[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
