"""Named recipes: the hyper-parameters that one training run derives from its shape."""

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from scaling_jax._pytree import Record
from scaling_jax.shapes import TransformerShape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is optimised.

    The learning rate rises linearly over the warm-up, then falls along a cosine to
    `final_fraction` of its peak at the last token.

    Attributes:
        name: how records call it.
        optimizer: "lion" (Chen et al., arXiv 2302.06675) or "adamw".
        peak_times_d_model: peak learning rate times the model's width.
        b1, b2: the optimiser's two averages.
        weight_decay: what a step subtracts of each parameter, as a multiple of the learning
            rate.
        warmup_tokens_per_param: length of the warm-up, in tokens per parameter of the model.
        max_warmup: its largest share of a run.
        final_fraction: last learning rate over peak.
        clip: largest norm of the gradient.
    """

    name: str
    optimizer: Literal["lion", "adamw"]
    peak_times_d_model: float
    b1: float
    b2: float
    weight_decay: float
    warmup_tokens_per_param: float = 3.0
    max_warmup: float = 0.3
    final_fraction: float = 0.1
    clip: float = 1.0

    def peak_learning_rate(self, shape: TransformerShape) -> float:
        """Return the peak learning rate of a model."""
        return self.peak_times_d_model / shape.d_model

    def schedule(self, shape: TransformerShape, steps: int, step_tokens: int) -> "Schedule":
        """Return the learning rates of a run of so many steps."""
        wanted = self.warmup_tokens_per_param * shape.params / step_tokens
        return Schedule(
            peak=self.peak_learning_rate(shape),
            steps=steps,
            warmup_steps=max(1, round(min(wanted, self.max_warmup * steps))),
        )


# Sardana et al., section 3 and appendix C. Their weight decay equals the learning rate and is
# decoupled from it: each step subtracts (rate / peak) · peak · parameter, which is the rate
# times the parameter, so the multiple is 1. Peaks are 2^-1.5 / d_model in all of Table 4.
SARDANA = Recipe(
    name="sardana", optimizer="lion", peak_times_d_model=2**-1.5, b1=0.9, b2=0.95,
    weight_decay=1.0,
)  # fmt: skip
# The same for widths of 12 to 64. There the paper's peak would be 0.03, and a decay of 1 forget
# in 1 / 0.03 = 34 steps: the 5k model of `cpu47` then ends at 2.62 nats after 100 tokens per
# parameter and at 2.62 after 500; with a quarter of the peak and a tenth of the decay, at 2.47
# and 2.39.
NARROW = dataclasses.replace(
    SARDANA, name="narrow", peak_times_d_model=2**-3.5, weight_decay=0.1
)
# The usual AdamW of language models (Brown et al., arXiv 2005.14165, Table 2.1: 6e-4 at 768).
ADAMW = Recipe(
    name="adamw", optimizer="adamw", peak_times_d_model=6e-4 * 768, b1=0.9, b2=0.95,
    weight_decay=0.1,
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in (SARDANA, NARROW, ADAMW)}


class Schedule(Record):
    """The learning rate of a run: numbers, so that one compiled program serves any of them.

    Attributes:
        peak: the largest learning rate.
        steps: of the run.
        warmup_steps: over which the rate rises.
    """

    peak: Any
    steps: Any
    warmup_steps: Any

    def rate(self, step: Any, final_fraction: float) -> jax.Array:
        """Return the learning rate of a step, counted from 0."""
        done = jnp.asarray(step, jnp.float32) + 1
        peak, steps, warmup = (
            jnp.asarray(each, jnp.float32)
            for each in (self.peak, self.steps, self.warmup_steps)
        )
        way = jnp.clip((done - warmup) / jnp.maximum(steps - warmup, 1), 0.0, 1.0)
        cosine = (1 + jnp.cos(math.pi * way)) / 2
        return (
            peak
            * jnp.minimum(done / warmup, 1.0)
            * (final_fraction + (1 - final_fraction) * cosine)
        )


def transformation(recipe: Recipe, schedule: Schedule) -> optax.GradientTransformation:
    """Return the recipe as an Optax transformation; the schedule may be traced."""

    def rate(step: jax.Array) -> jax.Array:
        return schedule.rate(step, recipe.final_fraction)

    make = {"lion": optax.lion, "adamw": optax.adamw}[recipe.optimizer]
    update = make(rate, b1=recipe.b1, b2=recipe.b2, weight_decay=recipe.weight_decay)
    return optax.chain(optax.clip_by_global_norm(recipe.clip), update)
