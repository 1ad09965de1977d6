"""Named recipes: the hyper-parameters that one training run derives from its shape."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scaling_jax._pytree import Record
from scaling_jax.shapes import TransformerShape

Factory = Callable[..., optax.GradientTransformation]
_SETTINGS = ("b1", "b2", "weight_decay")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is optimised.

    The learning rate rises linearly over the warm-up, then falls along a cosine to
    `final_fraction` of its peak at the last token.

    Attributes:
        name: how records call it.
        optimizer: of Optax, by name: "lion" (Chen et al., arXiv 2302.06675), "adamw", "sgd" …;
            or your own function of a learning-rate schedule, which makes a transformation.
        peak_times_d_model: peak learning rate times the model's width.
        b1, b2: the optimiser's two averages; None where it has none, or its own defaults.
        weight_decay: what a step subtracts of each parameter, as a multiple of the learning
            rate; None likewise.
        warmup_tokens_per_param: length of the warm-up, in tokens per parameter of the model.
        max_warmup: its largest share of a run.
        final_fraction: last learning rate over peak.
        clip: largest norm of the gradient.
    """

    name: str
    optimizer: str | Factory
    peak_times_d_model: float
    b1: float | None = None
    b2: float | None = None
    weight_decay: float | None = None
    warmup_tokens_per_param: float = 3.0
    max_warmup: float = 0.3
    final_fraction: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an optimiser that Optax lacks, and settings that it does not take."""
        takes = inspect.signature(self.factory).parameters
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values()):
            return
        for name in self.settings:
            if name not in takes:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; the optimizer {self.optimizer_name} "
                    "takes none, so leave it out"
                )

    @property
    def factory(self) -> Factory:
        """What makes the optimiser.

        Raises:
            ValueError: Optax has no optimiser of that name.
        """
        if not isinstance(self.optimizer, str):
            return self.optimizer
        found = getattr(optax, self.optimizer, None)
        takes = inspect.signature(found).parameters if inspect.isfunction(found) else ()
        if found is None or "learning_rate" not in takes:
            raise ValueError(
                f"optimizer is {self.optimizer!r}; it must be an optimizer of Optax by name, "
                "such as lion, adamw or sgd, or a function of a schedule that makes one"
            )
        return found

    @property
    def optimizer_name(self) -> str:
        """How the optimiser is called where it is written down."""
        if isinstance(self.optimizer, str):
            return self.optimizer
        named = inspect.unwrap(self.optimizer)
        return f"{named.__module__}.{getattr(named, '__qualname__', type(named).__qualname__)}"

    @property
    def settings(self) -> dict[str, float]:
        """What the factory is given beside the schedule, by name."""
        given = {name: getattr(self, name) for name in _SETTINGS}
        return {name: value for name, value in given.items() if value is not None}

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

    update = recipe.factory(rate, **recipe.settings)
    return optax.chain(optax.clip_by_global_norm(recipe.clip), update)
