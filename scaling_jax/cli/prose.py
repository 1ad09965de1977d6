"""Words of the report: counts, changes, inputs by name, what a cost rests on."""

import inspect
from typing import Any

from scaling_jax.cli.show import unit_words

_INPUTS = {
    "loss": "target loss",
    "budget": "budget",
    "match_params": "size of the model to match",
    "match_tokens": "training tokens of the model to match",
    "demand.input_tokens": "input tokens served",
    "demand.output_tokens": "output tokens served",
    "demand.requests": "requests, of the same tokens in all",
    "max_params": "largest size",
    "max_tokens": "most training data",
    "params": "size, which is fixed",
    "tokens": "training tokens, which are fixed",
    "cost.train.dollars_per_hour": "price of a training chip",
    "cost.train.mfu": "MFU in training",
    "cost.serve.dollars_per_hour": "price of a serving chip",
    "cost.serve.prefill_mfu": "MFU on input tokens",
    "cost.serve.decode_mfu": "MFU on output tokens",
    "cost.train.peak_flops": "peak speed of a training chip",
    "cost.serve.peak_flops": "peak speed of a serving chip",
}
_PARTS = {"train": "training", "serve": "serving", "total": "training and serving"}
_MODEL = {
    "params": "parameters",
    "tokens": "training tokens",
    "tokens_per_param": "training tokens per parameter",
    "loss": "loss, nats per token",
}


def input_name(path: str) -> str:
    """Return what an input is called, from the path that elasticities have for it."""
    if path in _INPUTS:
        return _INPUTS[path]
    first, _, rest = path.partition(".")
    own = {"law": "the law's", "cost": "the cost's", "axes": "the axis"}
    words = rest.replace("_", " ") if first != "law" else rest
    return f"{own[first]} {words}" if first in own and rest else path.replace("_", " ")


def row_name(name: str) -> str:
    """Return what a row of a plan is called: of `train_flops`, "training, FLOPs"."""
    part, _, unit = name.partition("_")
    if name in _MODEL or part not in _PARTS:
        return _MODEL.get(name, name.replace("_", " "))
    return f"{_PARTS[part]}, {unit_words(unit)}"


def of_cost(cost: Any, source: str | None) -> dict[str, str]:
    """Return what a cost rests on: what it says itself, or where it stands."""
    said = dict(cost.assumptions()) if hasattr(cost, "assumptions") else {}
    if said or source is None:
        return said
    documented = inspect.getdoc(cost if inspect.isfunction(cost) else type(cost)) or ""
    first = documented.split("\n\n")[0].replace("\n", " ")
    return {"cost": ". ".join(filter(None, (first.rstrip("."), f"Your own, {source}")))}


def large(value: Any) -> str:
    """Return a count in words: 24.2 billion."""
    number = float(value)
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:,.4g} {name}"
    return f"{number:,.0f}"


def ratio(value: float, base: float) -> str:
    """Return a value as a share of its base, or as so many times it."""
    each = value / base
    return f"{each:.1%}" if each < 10 else f"{each:,.0f} times"


def signed(value: float) -> str:
    """Return a percentage with its sign."""
    return f"{round(value, 2) + 0.0:+.2f} %".replace("-", "−")  # + 0.0: no negative zero


def change(value: float, more: str, less: str) -> str:
    """Return a percentage and its direction in words."""
    return f"{abs(value):.2f} % {more if value >= 0 else less}"
