"""How far a question is from the runs that are to answer it."""

from typing import NamedTuple

import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.runs import Runs

_INSIDE = 1e-6  # a factor so near to one is rounding


class Extrapolation(NamedTuple):
    """By what factor a point is outside of the runs: above 1 beyond the largest, below 1
    beyond the smallest, and 1 inside.

    Example:
        >>> from scaling_jax.runs import read_runs
        >>> runs = read_runs({"params": [1e8, 1e9], "tokens": [2e9, 2e10], "loss": [3.6, 2.9]})
        >>> extrapolation(runs, 1e10, 1e10)
        Extrapolation(params=10.0, tokens=1.0, tokens_per_param=0.05)
    """

    params: float
    tokens: float
    tokens_per_param: float

    @property
    def sentence(self) -> str | None:
        """What to say of it; None inside of the runs."""
        parts = [
            f"{max(factor, 1 / factor):.3g} times {'above' if factor > 1 else 'below'} "
            f"the runs in {name.replace('tokens_per_param', 'tokens/param')}"
            for name, factor in self._asdict().items()
            if abs(factor - 1) > _INSIDE
        ]
        return f"The point is {', and '.join(parts)}." if parts else None


def extrapolation(runs: Runs, params: float, tokens: float) -> Extrapolation:
    """Return by what factors (params, tokens) lies outside of the runs.

    Raises:
        ValueError: either is not positive and finite.
    """
    for name, value in (("params", params), ("tokens", tokens)):
        if not 0 < value < np.inf:
            raise Refusal(f"{name} is {value:g}; it must be positive and finite")
    return Extrapolation(
        params=_factor(runs.params, params),
        tokens=_factor(runs.tokens, tokens),
        tokens_per_param=_factor(runs.tokens_per_param, tokens / params),
    )


def _factor(column: np.ndarray, value: float) -> float:
    low, high = float(column.min()), float(column.max())
    return value / float(np.clip(value, low, high))
