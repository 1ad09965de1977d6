"""What axes and values are counted in."""

from collections.abc import Iterable, Mapping

_DIMENSIONLESS = "dimensionless"

# Of the vocabulary; a dotted path such as `baseline.params` is called by its last part.
_UNITS = {
    "loss": "nats/token",
    "params": "parameters",
    "tokens": "tokens",
    "requests": "requests",
    "input_length": "tokens/request",
    "output_length": "tokens/request",
    "tokens_per_param": "tokens/parameter",
    "vocab_size": "tokens",
    "samples": "samples/question",
    "years": "years",
    "price_decline": "1/year",
    "discount_rate": "1/year",
    "ttft": "seconds",
    "tpot": "seconds/token",
    "learning_rate": _DIMENSIONLESS,
    "epochs": _DIMENSIONLESS,
    "saving": _DIMENSIONLESS,
    "status": _DIMENSIONLESS,
    "limit": _DIMENSIONLESS,
}
# Of whatever ends so: max_params, unique_tokens, teacher_loss, serve_bits …
_ENDINGS = {
    "_loss": "nats/token",
    "_params": "parameters",
    "_tokens": "tokens",
    "_bits": "bits",
    "_flops": "FLOPs",
    "_dollars": "dollars",
    "_price": "dollars/hour",
    "_mfu": _DIMENSIONLESS,
    "_ratio": _DIMENSIONLESS,
}


def units_of(names: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the unit of each name: as given, or as the vocabulary has it, or none.

    Raises:
        ValueError: a unit is given for a name that is not there.

    Example:
        >>> units_of(["loss", "baseline.params", "x"], {})
        {'loss': 'nats/token', 'baseline.params': 'parameters'}
    """
    named = list(names)
    for name in given:
        if name not in named:
            raise ValueError(f"units names {name!r}; the grid has {', '.join(named)}")
    known = {name: given.get(name) or _known(name.rpartition(".")[2]) for name in named}
    return {name: unit for name, unit in known.items() if unit}


def _known(name: str) -> str | None:
    endings = (unit for ending, unit in _ENDINGS.items() if name.endswith(ending))
    return _UNITS.get(name) or next(endings, None)
