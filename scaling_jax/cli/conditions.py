"""Conditions on the columns of runs, as a person writes them: 'epochs<=4'."""

import math
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from scaling_jax.runs import Runs

_WRITTEN = re.compile(r"\s*([\w-]+)\s*(>=|<=|>|<|=)\s*(\S.*?)\s*")
_HOLDS: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
}


class Condition(NamedTuple):
    """A column's name, a sign, and what it is held against: a number, or a word."""

    name: str
    sign: str
    value: float | str

    def holds(self, runs: "Runs") -> "np.ndarray":
        """Return of which runs it holds; of none in which the value is missing."""
        return _HOLDS[self.sign](runs[self.name], self.value)

    def others(self, runs: "Runs") -> dict[str, Any]:
        """Return the limits, as `Runs.within` names them, of the runs of which it does not."""
        import numpy as np  # noqa: PLC0415

        if self.sign in ("<", ">"):
            return {f"{'max' if self.sign == '>' else 'min'}_{self.name}": self.value}
        return {self.name: np.unique(runs[self.name][~self.holds(runs)]).tolist()}


def condition(flag: str, text: str, runs: "Runs") -> Condition:
    """Return what an option says of a column of the runs."""
    import numpy as np  # noqa: PLC0415

    found = _WRITTEN.fullmatch(text)
    name, sign, value = ("", "", "") if found is None else found.groups()
    name = name.replace("-", "_")
    if name not in runs:
        raise ValueError(
            f"{flag} is {text!r}; it must be like 'tokens_per_param>100', with train_flops, "
            f"tokens_per_param or a column of the runs: {', '.join(runs.columns)}"
        )
    if not np.issubdtype(runs[name].dtype, np.number):
        if sign != "=":
            raise ValueError(f"{flag} is {text!r}, but {name} is text; it must be {name}=VALUE")
        return Condition(name, sign, value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{flag} is {text!r}; {value} must be a finite number")
    return Condition(name, sign, number)
