"""The shape that a size has: a continuous family, so that costs are functions of N."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number, OptionalPositive, Positive, Record
from scaling_jax.shapes import Experts, TransformerShape
from scaling_jax.solve import root

_NEWTON_STEPS = 6
_STATIC: Any = {"static": True}


class Proportions(Record):
    """How a model's width, depth and heads go with its size.

    With width d: d / `d_model_per_layer` layers, heads of `head_dim`, an MLP of
    `d_ff_per_d_model` d, and either `kv_heads`, or the heads over `query_heads_per_kv_head`.
    All are real numbers. A mixture of experts has the dense shape of its active parameters,
    whose MLP is `active_experts` of its experts.

    Example:
        >>> shape = LLAMA.shape(70.6e9)
        >>> f"{shape.d_model:.0f} {shape.layers:.0f} {shape.params:.4g}"
        '8441 75 7.06e+10'
    """

    d_model_per_layer: Positive
    d_ff_per_d_model: Positive
    head_dim: Positive
    vocab_size: Positive
    kv_heads: OptionalPositive = None
    query_heads_per_kv_head: Positive = 1.0
    active_experts: Positive = 8.0
    tied: bool = dataclasses.field(default=False, metadata=_STATIC)
    gated: bool = dataclasses.field(default=True, metadata=_STATIC)

    def shape(
        self,
        params: Number,
        *,
        active_params: Number | None = None,
        experts: Number | None = None,
    ) -> TransformerShape:
        """Return the shape of a size.

        Args:
            params: N, of all experts; their routers, below 0.1 % of it, come on top.
            active_params: of a mixture of experts, what one token multiplies and the embedding.
            experts: in each layer. Without `active_params`, each token takes `active_experts`
                of them; with it, so many that the active parameters are met.
        """
        if active_params is None:
            return self._of_size(params, experts)
        dense = self._of_size(active_params)
        spread: Any = 1 + (params - active_params) / (dense.layers * self._mlp(dense))
        count = spread * self.active_experts if experts is None else experts
        return self._mixed(dense, count, count / spread)

    def _mlp(self, shape: TransformerShape) -> Number:
        return (3 if self.gated else 2) * shape.d_model * shape.d_ff

    def of_width(self, width: Number, *, experts: Number | None = None) -> TransformerShape:
        """Return the shape of a width; with `experts`, `active_experts` of them are its MLP."""
        heads = width / self.head_dim
        few = self.kv_heads
        dense = TransformerShape(
            d_model=width,
            layers=width / self.d_model_per_layer,
            heads=heads,
            kv_heads=heads / self.query_heads_per_kv_head if few is None else few,
            d_ff=self.d_ff_per_d_model * width,
            vocab_size=self.vocab_size,
            tied=self.tied,
            gated=self.gated,
        )
        if experts is None:
            return dense
        return self._mixed(dense, experts, self.active_experts)

    def _mixed(
        self, dense: TransformerShape, count: Number, active: Number
    ) -> TransformerShape:
        mixture = Experts(count=count, active=active, d_ff=dense.d_ff / active)
        return dataclasses.replace(dense, experts=mixture)

    def _of_size(self, params: Number, experts: Number | None = None) -> TransformerShape:
        """Return the shape whose width gives so many parameters, routers not counted."""

        def log_params(log_width: Any) -> Any:
            one = self.of_width(jnp.exp(log_width))
            more = 0.0 if experts is None else experts / self.active_experts - 1
            return jnp.log(one.params + more * one.layers * self._mlp(one))

        wanted = jnp.log(params)
        spread = 1.0 if experts is None else experts / self.active_experts
        log_width = convex_root(log_params, wanted, self.log_widest(wanted, spread))
        return self.of_width(jnp.exp(log_width), experts=experts)

    def log_widest(self, wanted: Any, spread: Any = 1.0) -> Any:
        """Return a log width above that of a log size: of matrices or embedding alone."""
        matrices = 2.0 + (3 if self.gated else 2) * self.d_ff_per_d_model * spread
        by_layers = (wanted + jnp.log(self.d_model_per_layer / matrices)) / 3
        rows = self.vocab_size * (1 if self.tied else 2)
        return jnp.minimum(by_layers, wanted - jnp.log(rows))


def convex_root(function: Callable[[Any], Any], wanted: Number, start: Number) -> jax.Array:
    """Solve f(u) = wanted for an increasing convex f, from above: Newton never overshoots.

    The log of a sum of powers is convex in the log of what they are powers of.
    """

    def residual(u: Any) -> Any:
        return function(u) - wanted

    def solve() -> Any:
        u = jnp.asarray(start)
        for _ in range(_NEWTON_STEPS):
            value, slope = jax.jvp(residual, (u,), (jnp.ones_like(u),))
            u = u - value / slope
        return u

    return root(residual, solve)


# Llama 3.1: 128 to 130 wide per layer at 8B and 405B, 102 at 70B; eight key-value heads.
LLAMA = Proportions(
    d_model_per_layer=112.0,
    d_ff_per_d_model=3.5,
    head_dim=128.0,
    kv_heads=8.0,
    vocab_size=128_256.0,
)
# Sardana et al. (arXiv 2401.00448), Table 4.
PAPER = Proportions(
    d_model_per_layer=96.0,
    d_ff_per_d_model=4.0,
    head_dim=128.0,
    query_heads_per_kv_head=4.0,
    vocab_size=100_352.0,
    tied=True,
    gated=False,
)
