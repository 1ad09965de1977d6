"""The sweep's decoder and a step of its recipe in eager PyTorch, on the CPU."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.attention import alibi_slopes
from scaling_jax.training.config import RunConfig
from scaling_jax.training.recipe import Recipe


class Block(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape, width = shape, shape.d_model
        self.norm_attention = nn.RMSNorm(width, eps=1e-5)
        self.norm_mlp = nn.RMSNorm(width, eps=1e-5)
        self.inputs = nn.Linear(width, width + 2 * shape.kv_dim, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, shape.d_ff, bias=False)
        self.down = nn.Linear(shape.d_ff, width, bias=False)

    def forward(self, x: Any, mask: Any) -> Any:
        shape = self.shape
        parts = self.inputs(self.norm_attention(x))
        q, k, v = (
            part.unflatten(-1, (-1, shape.head_dim)).transpose(1, 2)
            for part in parts.split([shape.d_model, shape.kv_dim, shape.kv_dim], dim=-1)
        )
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        x = x + self.output(y.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm_mlp(x)), approximate="tanh"))


class Decoder(nn.Module):
    def __init__(self, shape: TransformerShape, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab_size, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.d_model, eps=1e-5)
        place = torch.arange(length)
        distance = place[:, None] - place[None, :]
        bias = -torch.tensor(alibi_slopes(shape.heads))[:, None, None] * distance
        # One mask for both: ALiBi behind, minus infinity ahead.
        self.mask = bias.masked_fill(distance < 0, -math.inf)[None]

    def forward(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.mask)
        return functional.linear(self.norm(x), self.embedding.weight)

    def load(self, params: Any) -> None:
        """Take our parameters; a Linear keeps its matrix transposed."""
        blocks = [params["blocks"][index] for index in range(len(self.blocks))]
        pairs = [(self.embedding, params["embedding"]), (self.norm, params["norm"]["scale"])]
        for mine, block in zip(self.blocks, blocks, strict=True):
            pairs += [
                (mine.norm_attention, block["norm_attention"]["scale"]),
                (mine.norm_mlp, block["norm_mlp"]["scale"]),
                (mine.inputs, block["attention"]["inputs"].T),
                (mine.output, block["attention"]["output"].T),
                (mine.up, block["mlp"]["inputs"].T),
                (mine.down, block["mlp"]["output"]),
            ]
        with torch.no_grad():
            for module, array in pairs:
                module.weight.copy_(torch.from_numpy(np.array(array)))


class Lion:
    """Chen et al., arXiv 2302.06675, over all parameters at once."""

    def __init__(self, params: list[Any], recipe: Recipe) -> None:
        self.params, self.settings = params, recipe.settings
        self.moments = [torch.zeros_like(each) for each in params]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        grads, settings = [each.grad for each in self.params], self.settings
        update = torch._foreach_lerp(grads, self.moments, settings["b1"])
        torch._foreach_sign_(update)
        torch._foreach_mul_(self.params, 1 - rate * settings["weight_decay"])
        torch._foreach_add_(self.params, update, alpha=-rate)
        torch._foreach_lerp_(self.moments, grads, 1 - settings["b2"])


def contender(
    config: RunConfig, params: Any, windows: np.ndarray
) -> tuple[float, Callable[[int], None]]:
    """Return the first loss and a function that takes so many steps."""
    shape, recipe, schedule = config.shape, config.recipe, config.schedule
    data = torch.from_numpy(windows).long()
    model = Decoder(shape, data.shape[-1] - 1)
    model.load(params)
    optimizer = Lion(list(model.parameters()), recipe)
    done = 0

    def loss(windows: Any) -> Any:
        logits = model(windows[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())

    def step(windows: Any, rate: float) -> None:
        model.zero_grad(set_to_none=True)
        loss(windows).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step(rate)

    def run(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            warm, way = min((done + 1) / schedule.warmup_steps, 1.0), done / schedule.steps
            cosine = (1 + math.cos(math.pi * min(way, 1.0))) / 2
            step(data[done % len(data)], schedule.peak * warm * (0.1 + 0.9 * cosine))
            done += 1

    with torch.no_grad():
        first = float(loss(data[0]))
    return first, run
