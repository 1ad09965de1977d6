"""What axes and values are counted in."""

from collections.abc import Iterable, Mapping

_DIMENSIONLESS = "dimensionless"

# Of the vocabulary; a dotted path such as `baseline.params` is called by its last part.
_UNITS = {
    "loss": "nats/token",
    "params": "parameters",
    "max_params": "parameters",
    "tokens": "tokens",
    "max_tokens": "tokens",
    "inference_tokens": "tokens",
    "input_tokens": "tokens",
    "output_tokens": "tokens",
    "requests": "requests",
    "tokens_per_param": "tokens/parameter",
    "saving": _DIMENSIONLESS,
    "status": _DIMENSIONLESS,
    "limit": _DIMENSIONLESS,
}
_ENDINGS = {
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
