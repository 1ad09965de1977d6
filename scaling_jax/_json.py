"""Strict JSON, which has no word for a number that is not finite."""

import math
from collections.abc import Mapping
from typing import Any


def strict(value: Any) -> Any:
    """Return the value, whatever it holds, with None for every float that is not finite.

    Example:
        >>> strict({"loss": float("nan"), "intervals": {"E": [0.0, float("inf")]}})
        {'loss': None, 'intervals': {'E': [0.0, None]}}
    """
    if isinstance(value, Mapping):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
