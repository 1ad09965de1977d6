"""The sweep's decoder and a step of its recipe, written plainly in Flax linen and Optax."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.attention import alibi_slopes
from scaling_jax.training.config import RunConfig


class Block(nn.Module):
    shape: TransformerShape

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array) -> jax.Array:
        shape, (batch, length, width) = self.shape, x.shape
        y = nn.RMSNorm(1e-5)(x)
        parts = nn.Dense(width + 2 * shape.kv_dim, use_bias=False)(y)
        q, k, v = (
            part.reshape(batch, length, -1, shape.head_dim)
            for part in jnp.split(parts, [width, width + shape.kv_dim], axis=-1)
        )
        y = jax.nn.dot_product_attention(q, k, v, bias=bias, is_causal=True)
        x = x + nn.Dense(width, use_bias=False)(y.reshape(x.shape))
        y = nn.Dense(shape.d_ff, use_bias=False)(nn.RMSNorm(1e-5)(x))
        return x + nn.Dense(width, use_bias=False)(nn.gelu(y))


class Decoder(nn.Module):
    shape: TransformerShape

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        embedding = nn.Embed(self.shape.vocab_size, self.shape.d_model)
        place = jnp.arange(tokens.shape[1])
        distance = jnp.maximum(place[:, None] - place[None, :], 0)
        bias = -jnp.array(alibi_slopes(self.shape.heads))[:, None, None] * distance
        x = embedding(tokens)
        for _ in range(self.shape.layers):
            x = Block(self.shape)(x, bias[None])
        return embedding.attend(nn.RMSNorm(1e-5)(x))


def variables(params: Any) -> dict[str, Any]:
    """Return our parameters under linen's names."""
    named = {
        f"Block_{index}": {
            "Dense_0": {"kernel": block["attention"]["inputs"]},
            "Dense_1": {"kernel": block["attention"]["output"]},
            "Dense_2": {"kernel": block["mlp"]["inputs"]},
            "Dense_3": {"kernel": block["mlp"]["output"].T},
            "RMSNorm_0": {"scale": block["norm_attention"]["scale"]},
            "RMSNorm_1": {"scale": block["norm_mlp"]["scale"]},
        }
        for index, block in params["blocks"].items()
    }
    ends = {"Embed_0": {"embedding": params["embedding"]}, "RMSNorm_0": params["norm"]}
    return jax.tree.map(jnp.asarray, {"params": named | ends})


def contender(
    config: RunConfig, params: Any, windows: np.ndarray
) -> tuple[float, Callable[[int], None]]:
    """Return the first loss and a function that takes so many steps."""
    shape, recipe, schedule = config.shape, config.recipe, config.schedule
    model, weights = Decoder(shape), variables(params)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, schedule.peak, schedule.warmup_steps, schedule.steps, 0.1 * schedule.peak
    )
    lion = recipe.factory(rate, **recipe.settings)
    optimizer = optax.chain(optax.clip_by_global_norm(recipe.clip), lion)
    state = optimizer.init(weights)

    def loss(weights: Any, windows: jax.Array) -> jax.Array:
        logits: Any = model.apply(weights, windows[:, :-1])
        return optax.losses.softmax_cross_entropy_with_integer_labels(
            logits, windows[:, 1:]
        ).mean()

    def step(weights: Any, state: Any, windows: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, grad = jax.value_and_grad(loss)(weights, windows)
        updates, state = optimizer.update(grad, state, weights)
        return optax.apply_updates(weights, updates), state, value

    first = float(jax.jit(loss)(weights, windows[0]))
    step = jax.jit(step, donate_argnums=(0, 1))

    def run(steps: int) -> None:
        nonlocal weights, state
        for index in range(steps):
            weights, state, _ = step(weights, state, windows[index % len(windows)])
        jax.block_until_ready(weights)

    assert math.isfinite(first)
    return first, run
