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
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.attention import Kernel, alibi_bias, attend, rotate

Params = Any  # a pytree of arrays
Positions = Literal["alibi", "rotary"]
Dtype = Literal["float32", "bfloat16"]
_CHOICES = {
    "positions": get_args(Positions),
    "dtype": get_args(Dtype),
    "attention": (None, *get_args(Kernel)),
}
_EPSILON = 1e-5  # of the norms


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What a model computes beyond its shape.

    Attributes:
        positions: "alibi" (Press et al., arXiv 2108.12409) as in the paper, or "rotary".
        dtype: of activations and matrix products; parameters stay float32.
        remat: recompute each layer's activations in the backward pass.
        attention: what computes it, see `attention.attend`.
    """

    positions: Positions = "alibi"
    dtype: Dtype = "float32"
    remat: bool = False
    attention: Kernel | None = None

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                words = " or ".join(map(repr, choices))
                raise ValueError(f"{name} is {value!r}; it must be {words}")


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
            q_BxTxHxK, k_BxTxGxK = rotate(q_BxTxHxK), rotate(k_BxTxGxK)
        mixed_BxTxHxK = attend(
            q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, bias_1xHxTxT, self.options.attention
        )
        return _times(mixed_BxTxHxK.reshape(batch, length, -1), self.output[...])


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
            bias_1xHxTxT = alibi_bias(self.shape.heads, tokens_BxT.shape[-1], x_BxTxD.dtype)
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
