"""Is a function c x^a y^b? Read from its program."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Literal

_Powers = tuple[float, ...] | None
_PASSED_ON = {"convert_element_type", "copy", "reshape", "squeeze", "broadcast_in_dim"}
_CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call"}


def exponents(function: Callable[..., Any], *arguments: Any) -> tuple[float, ...] | None:
    """Return the exponents of a function that is a product of powers of its arguments.

    None where its program does not show that it is one.

    Example:
        >>> exponents(lambda x, y: 6.0 * x * y / 7.0, 1.0, 1.0)
        (1.0, 1.0)
        >>> exponents(lambda x, y: x + y, 1.0, 1.0)
    """
    closed = jax.make_jaxpr(function)(*arguments)
    count = len(closed.jaxpr.invars)
    unit: list[_Powers] = [tuple(float(i == j) for j in range(count)) for i in range(count)]
    return _of(closed.jaxpr, unit, (0.0,) * count)[0]


def _of(jaxpr: Any, inputs: list[_Powers], constant: tuple[float, ...]) -> list[_Powers]:
    known: dict[Any, _Powers] = dict(zip(jaxpr.invars, inputs, strict=True))

    def of(v: Any) -> _Powers:
        return constant if isinstance(v, Literal) else known.get(v, constant)

    for eqn in jaxpr.eqns:
        powers = [of(v) for v in eqn.invars]
        program = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        if all(x == constant for x in powers):
            found = [constant] * len(eqn.outvars)
        elif eqn.primitive.name in _CALLS and isinstance(program, ClosedJaxpr):
            found = _of(program.jaxpr, powers, constant)
        else:
            found = [_result(eqn, powers, constant)] * len(eqn.outvars)
        known.update(zip(eqn.outvars, found, strict=True))
    return [of(v) for v in jaxpr.outvars]


def _result(eqn: Any, powers: list[_Powers], constant: tuple[float, ...]) -> _Powers:
    name = eqn.primitive.name
    if None in powers:
        return None
    if name in _PASSED_ON:
        return powers[0]
    if name in ("mul", "div"):
        sign = 1.0 if name == "mul" else -1.0
        return tuple(a + sign * b for a, b in zip(*powers, strict=True))
    power = {"square": 2.0, "sqrt": 0.5, "integer_pow": eqn.params.get("y")}.get(name)
    if name == "pow" and isinstance(eqn.invars[1], Literal):
        power = float(eqn.invars[1].val)
    first = powers[0]
    return None if power is None or first is None else tuple(power * x for x in first)
