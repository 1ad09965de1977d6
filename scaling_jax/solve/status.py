"""How a solve ended: data inside a compiled program, words at the Python edge."""

import enum
from typing import Any

import jax

from scaling_jax._pytree import Record


class Status(enum.IntEnum):
    """How a solve ended. Where two apply, the higher number is reported.

    Every status but `CONVERGED` comes with NaN in the values that it spoils.
    """

    CONVERGED = 0
    NOT_CONVERGED = 1
    OUT_OF_RANGE = 2
    INFEASIBLE = 3
    INVALID = 4

    @property
    def message(self) -> str:
        """One sentence for people."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "The optimum was found.",
    Status.NOT_CONVERGED: "The iteration ended before the optimality conditions held.",
    Status.OUT_OF_RANGE: "The answer does not fit the floating-point type.",
    Status.INFEASIBLE: "No point satisfies all the constraints.",
    Status.INVALID: "An input is outside its domain.",
}


class Solution(Record):
    """What `minimise` returns: the point, the multipliers, and how it ended.

    `equality` and `inequality` hold one Lagrange multiplier per constraint; `residual` is the
    largest violation of the optimality conditions.
    """

    value: Any
    equality: jax.Array
    inequality: jax.Array
    residual: jax.Array
    status: jax.Array
