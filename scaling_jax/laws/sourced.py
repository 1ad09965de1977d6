"""Where a law comes from, and where it may be believed."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scaling_jax.laws.families import TRAIN_FLOPS_PER_PARAM_TOKEN

Interval = tuple[float, float]
# A factor so near to one is rounding: a run takes whole batches, and 100.02 counts as 100.
_INSIDE = 1e-3

_WORDS = {"tokens_per_param": "tokens/param", "train_flops": "training FLOPs"}


class Valid(NamedTuple):
    """The ranges of the runs behind a law; None where a range is not known.

    Example:
        >>> Valid(params=(1e8, 1e9), tokens=(2e9, 2e10)).beyond(1e10, 1e10)
        '10 times above the runs behind the law in params'
    """

    params: Interval | None = None
    tokens: Interval | None = None
    tokens_per_param: Interval | None = None
    train_flops: Interval | None = None
    axes: Mapping[str, Interval] = {}

    @classmethod
    def of(cls, params: Any, tokens: Any, **axes: Any) -> "Valid":
        """Return the ranges of runs, given as columns; columns of text are passed over."""
        n, d = np.asarray(params, float), np.asarray(tokens, float)
        columns = (n, d, d / n, TRAIN_FLOPS_PER_PARAM_TOKEN * n * d)
        numbers = {
            name: _range(column)
            for name, column in axes.items()
            if np.issubdtype(np.asarray(column).dtype, np.number)
        }
        ranges = [_range(column) for column in columns]
        return cls(ranges[0], ranges[1], ranges[2], ranges[3], numbers)

    def factors(self, params: float, tokens: float, **axes: float) -> dict[str, float]:
        """Return by what factor a point is beyond each range: above 1 beyond its upper end,
        below 1 beyond its lower one; ranges that hold it are left out.
        """
        values = {
            "params": params,
            "tokens": tokens,
            "tokens_per_param": tokens / params,
            "train_flops": TRAIN_FLOPS_PER_PARAM_TOKEN * params * tokens,
        } | axes
        ranges = self._asdict() | dict(self.axes)
        found = {}
        for name, value in values.items():
            low, high = ranges.get(name) or (value, value)
            factor = value / min(max(value, low), high) if value > 0 else 1.0
            if abs(factor - 1) > _INSIDE:
                found[name] = factor
        return found

    def beyond(self, params: float, tokens: float, **axes: float) -> str | None:
        """Return in words by what factors a point is beyond the ranges; None within them."""
        parts = [
            f"{max(factor, 1 / factor):.3g} times {'above' if factor > 1 else 'below'}"
            f" the runs behind the law in {_WORDS.get(name, name)}"
            for name, factor in self.factors(params, tokens, **axes).items()
        ]
        return ", and ".join(parts) or None


def _range(column: np.ndarray) -> Interval:
    return float(np.min(column)), float(np.max(column))


_NOWHERE_STATED = Valid()


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sourced:
    """A law with where it comes from, how sure it is, and where it may be believed.

    What takes a law takes one of these in its place. It is no pytree: what is said of a law
    does not enter a compiled program.

    Attributes:
        law: the law.
        subject: what the law is about, such as `precision`: the catalogue is grouped by it.
        source: where its coefficients were printed, or which runs they were fitted to.
        caveat: what to beware of in the source.
        valid: the ranges of the runs behind it.
        resampled: the laws of resampled runs, stacked along the first axis.
        warnings: what the fit said, in sentences.
    """

    law: Any
    subject: str = ""
    source: str = ""
    caveat: str = ""
    valid: Valid = _NOWHERE_STATED
    resampled: Any = None
    warnings: tuple[str, ...] = ()


def unwrapped(law: Any) -> Any:
    """Return the bare law of a `Sourced`, and any other law as it is."""
    return law.law if isinstance(law, Sourced) else law
