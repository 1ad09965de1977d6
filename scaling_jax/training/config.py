"""What one training run is: enough to start it, resume it and repeat it."""

import dataclasses
import math
import operator
from typing import Any, NamedTuple

from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling_jax.shapes import TransformerShape
from scaling_jax.training.model import ModelOptions
from scaling_jax.training.recipe import SARDANA, Recipe, Schedule

# One dispatch covers about this many tokens, so that small models do not wait for Python.
_TOKENS_PER_CALL = 2**14
_MAX_STEPS_PER_CALL = 128

DEFAULT_OPTIONS = ModelOptions()


class Work(NamedTuple):
    """What so many steps of a run are: the tokens that they see, and their FLOPs.

    `train_flops` are 6 N D, `exact_train_flops` those of `TransformerShape.train_flops`.
    """

    tokens: int
    train_flops: float
    exact_train_flops: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RunConfig:
    """One training run.

    Attributes:
        shape: of the model.
        tokens: to train on; the run takes the nearest whole number of batches.
        length: tokens per sequence.
        batch: sequences per step, over all devices.
        recipe: optimiser and schedule.
        options: what the model computes.
        accumulate: micro-batches whose gradients make one step.
        seed: of the parameters and of the data's order.
        repeats: whether tokens may be seen more than once.
        heldout_tokens: on which the final loss is measured, or fewer if there are fewer.
    """

    shape: TransformerShape
    tokens: int
    length: int = 128
    batch: int = 8
    recipe: Recipe = SARDANA
    options: ModelOptions = DEFAULT_OPTIONS
    accumulate: int = 1
    seed: int = 0
    repeats: bool = False
    heldout_tokens: int = 2**20

    def __post_init__(self) -> None:
        """Refuse a run that cannot be made; whole numbers of any kind become Python's."""
        self.shape.check()
        for name in ("tokens", "length", "batch", "accumulate", "heldout_tokens"):
            self._set_whole(name, 1, math.inf, "a positive integer")
        self._set_whole("seed", 0, 2**31, "an integer in [0, 2**31)")
        if self.options.positions == "rotary" and self.shape.head_dim % 2:
            raise ValueError(
                f"d_model is {self.shape.d_model} and heads {self.shape.heads}, "
                f"{self.shape.head_dim} numbers per head; rotary positions need an even number"
            )
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch is {self.batch} and accumulate {self.accumulate}; "
                "accumulate must divide batch"
            )

    def _set_whole(self, name: str, least: float, end: float, words: str) -> None:
        value = getattr(self, name)
        try:
            whole = operator.index(value)
        except TypeError:
            whole = None
        if whole is None or not least <= whole < end:
            raise ValueError(f"{name} is {value!r}; it must be {words}")
        object.__setattr__(self, name, whole)

    @property
    def step_tokens(self) -> int:
        """Tokens per step."""
        return self.batch * self.length

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return max(1, round(self.tokens / self.step_tokens))

    @property
    def flops_per_token(self) -> float:
        """FLOPs of training per token, attention in full: no kernel here skips a mask."""
        return float(self.shape.train_flops(self.length, causal=False))

    def work(self, steps: int | None = None) -> Work:
        """Return what so many steps are, or all of the run."""
        tokens = (self.steps if steps is None else steps) * self.step_tokens
        simple = TRAIN_FLOPS_PER_PARAM_TOKEN * self.shape.params * tokens
        return Work(tokens, simple, self.flops_per_token * tokens)

    @property
    def schedule(self) -> Schedule:
        """The learning rates of the run."""
        return self.recipe.schedule(self.shape, self.steps, self.step_tokens)

    @property
    def steps_per_call(self) -> int:
        """Steps that one call of the compiled program takes."""
        return max(1, min(_TOKENS_PER_CALL // self.step_tokens, _MAX_STEPS_PER_CALL))

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain nested values."""
        plain = dataclasses.asdict(self)
        plain["recipe"]["optimizer"] = self.recipe.optimizer_name
        return plain


def with_defaults(saved: dict[str, Any], like: Any) -> dict[str, Any]:
    """Return what was saved of a dataclass with the fields that it lacks at their defaults.

    It lacks those that are younger than it. `like` is an instance, whose fields may be
    dataclasses too.
    """
    filled = dict(saved)
    for field in dataclasses.fields(like):
        value = filled.get(field.name)
        if field.name not in filled and field.default is not dataclasses.MISSING:
            filled[field.name] = _as_plain(field.default)
        elif isinstance(value, dict) and dataclasses.is_dataclass(getattr(like, field.name)):
            filled[field.name] = with_defaults(value, getattr(like, field.name))
    return filled


def _as_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def difference(one: Any, other: Any, path: str = "") -> str | None:
    """Return "name is X, was Y" for the first leaf where two nested dicts differ, or None."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(other.keys() - one.keys())]:
            inner = f"{path}.{name}" if path else str(name)
            found = difference(one.get(name), other.get(name), inner)
            if found:
                return found
        return None
    return None if one == other else f"{path} is {one!r}, was {other!r}"
