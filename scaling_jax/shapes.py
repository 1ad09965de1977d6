"""A transformer's shape and what follows from it: parameters, FLOPs, bytes.

Every formula is arithmetic on its fields, so it takes integers (exact, for a model to build),
floats and arrays (continuous, to differentiate or to vmap).
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from scaling_jax._pytree import POSITIVE, Number, Record, fields_with_domain

# Of a model to build an integer; to differentiate, any positive number or array of them.
Count = Annotated[Any, POSITIVE]

_STATIC: Any = {"static": True}


class Experts(Record):
    """A mixture of experts in place of the MLP, as wide each as `d_ff`.

    `active` of `count` experts serve each token, and `shared` ones every token; `layers` says
    how many layers have them (None: all), the others have the shape's own MLP.
    """

    count: Any
    active: Any
    d_ff: Any
    shared: Any = 0
    layers: Any = None


class Latent(Record):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): a cache of few numbers.

    Keys and values are made from `kv_rank` numbers per token, beside `rope` positional ones;
    queries from `query_rank`. A head compares `nope` + `rope` numbers and returns `value`.
    """

    kv_rank: Any
    query_rank: Any
    nope: Any
    rope: Any
    value: Any

    @property
    def cache_dim(self) -> Any:
        """Numbers cached per token and layer."""
        return self.kv_rank + self.rope

    def pair_dim(self, absorbed: bool) -> Any:
        """Return the multiply-adds of one head for one pair of tokens."""
        return 2 * self.kv_rank + self.rope if absorbed else self.nope + self.rope + self.value

    def attention_params(self, d_model: Any, heads: Any) -> Any:
        """Return the parameters of one layer's attention."""
        queries = d_model * self.query_rank + self.query_rank * heads * (self.nope + self.rope)
        keys = d_model * self.cache_dim + self.kv_rank * heads * (self.nope + self.value)
        return queries + keys + heads * self.value * d_model


class Window(Record):
    """Attention to the last `tokens` only, in so many `layers`."""

    tokens: Any
    layers: Any


class TransformerShape(Record):
    """A decoder-only transformer without biases.

    With width d, L layers, h query heads and g key-value heads of d/h numbers each, an MLP of
    width f and a vocabulary of V:

        attention   2 d² (1 + g/h)  per layer       MLP   2 d f, or 3 d f when gated
        norms       2 d per layer, and d at the end
        embeddings  V d, once when tied, else twice

    The six models of Sardana et al. (arXiv 2401.00448, Table 4) have g = h/4, f = 4 d, tied
    embeddings and V = 100,352.

    To be served, not trained here: `head_size` sets the heads free of d/h, `experts` replaces
    MLPs, `latent` the attention; `window` cuts what some layers see; `parallel` has attention
    and MLP side by side, which halves the all-reduces of tensor parallelism.

    Example:
        >>> shape = TransformerShape(
        ...     d_model=768, layers=12, heads=12, kv_heads=3, d_ff=3072, vocab_size=100_352)
        >>> shape.params, shape.non_embedding_params
        (151407360, 74337024)
    """

    d_model: Count
    layers: Count
    heads: Count
    kv_heads: Count
    d_ff: Count
    vocab_size: Count
    tied: bool = dataclasses.field(default=True, metadata=_STATIC)
    gated: bool = dataclasses.field(default=False, metadata=_STATIC)
    head_size: Any = None
    experts: Experts | None = None
    latent: Latent | None = None
    window: Window | None = None
    parallel: bool = dataclasses.field(default=False, metadata=_STATIC)

    @property
    def head_dim(self) -> Any:
        """Numbers per head, `head_size` or d/h: an integer when both are and it is one."""
        if self.head_size is not None:
            return self.head_size
        whole = isinstance(self.d_model, int) and isinstance(self.heads, int)
        return self.d_model // self.heads if whole else self.d_model / self.heads

    @property
    def kv_dim(self) -> Any:
        """Numbers of keys per token and layer, g d/h."""
        return self.kv_heads * self.head_dim

    @property
    def query_dim(self) -> Any:
        """Numbers of queries per token and layer: d, unless heads have a size of their own."""
        return self.d_model if self.head_size is None else self.heads * self.head_size

    @property
    def attention_params_per_layer(self) -> Any:
        """Parameters of one layer's attention."""
        if self.latent is not None:
            return self.latent.attention_params(self.d_model, self.heads)
        return 2 * self.d_model * (self.query_dim + self.kv_dim)

    @property
    def matmul_params_per_layer(self) -> Any:
        """Parameters of the matrices of one layer without experts."""
        return self.attention_params_per_layer + self._mlp_params(self.d_ff)

    def _mlp_params(self, d_ff: Any) -> Any:
        return (3 if self.gated else 2) * self.d_model * d_ff

    @property
    def routed_params(self) -> Any:
        """Parameters of all experts among which tokens are routed."""
        if self.experts is None:
            return 0
        each = self._mlp_params(self.experts.d_ff)
        return self.expert_layers * self.experts.count * each

    @property
    def expert_layers(self) -> Any:
        """Layers whose MLP is a mixture of experts."""
        if self.experts is None:
            return 0
        return self.layers if self.experts.layers is None else self.experts.layers

    @property
    def matmul_params(self) -> Any:
        """Parameters of all layers' matrices: attention, MLPs, experts and their routers."""
        if self.experts is None:
            return self.layers * self.matmul_params_per_layer
        dense = (self.layers - self.expert_layers) * self._mlp_params(self.d_ff)
        shared = self.experts.shared * self._mlp_params(self.experts.d_ff)
        always = self.expert_layers * (shared + self.d_model * self.experts.count)
        return (
            self.layers * self.attention_params_per_layer
            + dense
            + always
            + (self.routed_params)
        )

    @property
    def active_matmul_params(self) -> Any:
        """Parameters of the layers' matrices that one token multiplies."""
        if self.experts is None:
            return self.matmul_params
        idle = self.experts.count - self.experts.active
        each = self._mlp_params(self.experts.d_ff)
        return self.matmul_params - self.expert_layers * idle * each

    @property
    def embedding_params(self) -> Any:
        """Parameters of the embedding and of the output head, which are one when tied."""
        return (1 if self.tied else 2) * self.vocab_size * self.d_model

    @property
    def non_embedding_params(self) -> Any:
        """Parameters of the layers, norms included."""
        norms = (2 * self.layers + 1) * self.d_model
        return self.matmul_params + norms

    @property
    def params(self) -> Any:
        """All parameters."""
        return self.non_embedding_params + self.embedding_params

    @property
    def active_params(self) -> Any:
        """Parameters that one token multiplies: all but idle experts and an untied look-up."""
        idle = self.matmul_params - self.active_matmul_params
        return self.non_embedding_params - idle + self.vocab_size * self.d_model

    def forward_flops(self, length: Number, *, causal: bool = True) -> Any:
        """Return the FLOPs of one forward pass per token, in sequences of `length`.

            2 (L · matrices + V d)  +  4 L d · context

        two per multiply-add; the second term is scores and weighted values (`score_flops`).
        The mean context is (length + 1)/2 where the kernel skips what a causal mask hides, else
        length. Norms, activations and softmax, which are not matrix products, are not counted.
        """
        matrices = self.active_matmul_params + self.vocab_size * self.d_model
        context = (length + 1) / 2 if causal else length
        return 2 * matrices + self.score_flops(context)

    def score_flops(self, context: Number, *, absorbed: bool = False) -> Any:
        """Return the FLOPs of scores and weighted values of one token that sees a context.

        4 L h d_h · context. Latent attention of a prompt has heads of its own sizes; in
        decoding it is `absorbed`: queries meet the latent numbers themselves.
        """
        if self.latent is None:
            return 4 * self.query_dim * self._seen(context)
        return 2 * self.heads * self.latent.pair_dim(absorbed) * self._seen(context)

    def _seen(self, context: Number) -> Any:
        """Return the tokens that one token sees, summed over the layers."""
        if self.window is None:
            return self.layers * context
        short = self.window.layers
        near = (context + self.window.tokens - abs(context - self.window.tokens)) / 2
        return (self.layers - short) * context + short * near

    def train_flops(self, length: Number, *, causal: bool = True) -> Any:
        """Return the FLOPs of training per token: the backward pass costs two forward ones."""
        return 3 * self.forward_flops(length, causal=causal)

    def kv_cache_bytes(self, length: Number, *, bytes_per_number: float = 2) -> Any:
        """Return the bytes of keys and values of one sequence of `length` tokens."""
        numbers = 2 * self.kv_dim if self.latent is None else self.latent.cache_dim
        return numbers * self._seen(length) * bytes_per_number

    def activation_bytes(
        self, length: Number, batch: Number, *, bytes_per_number: float = 4
    ) -> Any:
        """Return the bytes that one forward pass keeps for its backward pass, without remat.

        Per token and layer: the inputs of two norms and their results (4 d), queries, keys,
        values and their weighted sum (2 d + 2 g d/h), the MLP before and after its
        non-linearity (2 f, gated 3 f), and h · length attention weights; per token the last
        norm (2 d) and logits with their softmax (2 V).
        """
        per_layer = 6 * self.d_model + 2 * self.kv_dim + (3 if self.gated else 2) * self.d_ff
        per_token = self.layers * (per_layer + self.heads * length)
        per_token = per_token + 2 * self.d_model + 2 * self.vocab_size
        return per_token * length * batch * bytes_per_number

    def check(self) -> TransformerShape:
        """Return the shape if a model can be built from it.

        Raises:
            ValueError: a number is not a positive integer, or the heads do not divide; the
                sentence says which.
        """
        for name in ("head_size", "experts", "latent", "window"):
            if getattr(self, name) is not None:
                raise ValueError(f"the bundled model has no {name}; leave it None to train")
        for name, value, _ in fields_with_domain(self, ""):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a positive integer")
        for whole, part in (("d_model", "heads"), ("heads", "kv_heads")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{whole} is {getattr(self, whole)} and {part} {getattr(self, part)}; "
                    f"{part} must divide {whole}"
                )
        return self


def shape_for(
    params: Number,
    *,
    vocab_size: int = 100_352,
    multiple: int = 64,
    head_dim: int | None = None,
    query_heads_per_kv_head: int = 4,
    d_model_per_layer: float = 80.0,
    tied: bool = True,
    gated: bool = False,
) -> TransformerShape:
    """Return an integer shape of about this many parameters, friendly to the hardware.

    The count is the nearest that such a shape has: within 3 % for large models, and within a
    factor of two for the smallest.

    The width is a multiple of `multiple`, the heads are whole, and the MLP is 4 d wide (8/3 d
    when gated, to the multiple). Depth and width trade off: among all depths the chosen shape
    has the least  |log(params / wanted)| + |log(d/L / d_model_per_layer)| / 10 , so the count
    is met first and the usual proportion (64 to 128 in Sardana et al., Table 4) second.

    Args:
        params: the planned size.
        vocab_size: of the tokeniser; 100,352 is the paper's.
        multiple: 64 or 128 on accelerators.
        head_dim: numbers per head. None prefers 128, or 64 in models narrower than 1,024, and
            takes fewer heads where those would not divide the width.
        query_heads_per_kv_head: 1 is multi-head attention.
        d_model_per_layer: the proportion to prefer.
        tied: one matrix embeds and predicts.
        gated: SwiGLU instead of GELU.

    Raises:
        ValueError: the size is not a positive number, or no such shape is that small.

    Example:
        >>> shape = shape_for(2.5e9)
        >>> shape.d_model, shape.layers, shape.heads, shape.kv_heads, shape.params
        (2560, 33, 20, 5, 2527895040)
    """
    wanted = _positive("params", params)
    proportion = _positive("d_model_per_layer", d_model_per_layer)
    vocab_size, multiple = _whole("vocab_size", vocab_size), _whole("multiple", multiple)
    per_kv_head = _whole("query_heads_per_kv_head", query_heads_per_kv_head)
    if head_dim is not None:
        head_dim = _whole("head_dim", head_dim)

    def distance(shape: TransformerShape) -> float:
        slimness = math.log(shape.d_model / shape.layers / proportion)
        return abs(math.log(shape.params / wanted)) + abs(slimness) / 10

    # At most sixteen times the preferred width per layer, and what the embedding leaves.
    widest = min((1.6 * proportion * wanted) ** (1 / 3), wanted / vocab_size)
    layers = [
        _one_layer(width, vocab_size, multiple, head_dim, per_kv_head, tied, gated)
        for width in range(multiple, int(widest) + multiple + 1, multiple)
    ]
    shapes = [shape for one in layers if one for shape in _stacked(one, wanted)]
    best = min(shapes, key=distance, default=None)
    if best is None or not 0.5 < best.params / wanted < 2:
        narrowest = multiple if head_dim is None else math.lcm(multiple, head_dim)
        others = "`multiple`" if head_dim is None else "`multiple` or `head_dim`"
        raise ValueError(
            f"params is {wanted:.4g}; with a vocabulary of {vocab_size:,} and widths of "
            f"{narrowest} the embedding alone takes {narrowest * vocab_size:,}; take a smaller "
            f"vocabulary or a smaller {others}"
        )
    return best


def _one_layer(
    width: int, vocab_size: int, multiple: int, head_dim: int | None, per_kv_head: int,
    tied: bool, gated: bool,
) -> TransformerShape | None:  # fmt: skip
    """Return the shape of one layer of a width, or None where its heads do not divide it."""
    if head_dim is not None and width % head_dim:
        return None
    per_head = head_dim or (128 if width >= 1024 and width % 128 == 0 else 64)
    heads = max(width // per_head, 1)
    kv_heads = max(heads // per_kv_head, 1)
    if width % heads or heads % kv_heads:
        return None
    return TransformerShape(
        d_model=width, layers=1, heads=heads, kv_heads=kv_heads,
        d_ff=multiple * round(width * (8 / 3 if gated else 4) / multiple),
        vocab_size=vocab_size, tied=tied, gated=gated,
    )  # fmt: skip


def _stacked(one: TransformerShape, wanted: float) -> Iterator[TransformerShape]:
    """Yield the shapes of so many such layers that their counts are next to the wanted."""
    per_layer = one.matmul_params_per_layer + 2 * one.d_model
    exact = (wanted - one.embedding_params - one.d_model) / per_layer
    for layers in {max(math.floor(exact), 1), max(math.ceil(exact), 1)}:
        yield dataclasses.replace(one, layers=layers)


def _positive(name: str, value: Number) -> float:
    """Return a single positive number, of whatever kind, as Python's: exact beside integers."""
    number = float(value) if np.ndim(value) == 0 else math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name} is {value}; it must be a positive number")
    return number


def _whole(name: str, value: int) -> int:
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"{name} is {value!r}; it must be a positive integer")
    return whole
