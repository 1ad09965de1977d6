"""Is a function smooth, does it have kinks, or does it jump? Read from its program."""

import enum
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


class Smoothness(enum.IntEnum):
    """What the primitives of a function may do to its graph; the higher includes the lower."""

    SMOOTH = 0
    KINKED = 1
    STEPPED = 2


_STEPS = {"floor", "ceil", "round", "sign", "rem", "nextafter", "argmax", "argmin"}
_KINKS = {"max", "min", "abs", "clamp", "reduce_max", "reduce_min", "sort", "cummax", "cummin"}
# A choice or an address that depends on the variables.
_CHOICES = {"select_n", "gather", "dynamic_slice", "cond"}
# Written with `max` and `select`, and smooth all the same.
_SMOOTH_FUNCTIONS = {"logaddexp", "softplus", "log_sigmoid", "silu", "logsumexp", "log_large"}


def smoothness(function: Callable[..., Any], *arguments: Any) -> Smoothness:
    """Return the smoothness of a function in its arguments (not in what it closes over).

    Example:
        >>> import jax.numpy as jnp
        >>> smoothness(lambda x: jnp.maximum(x, 2.0) + jnp.exp(x), 1.0).name
        'KINKED'
    """
    closed = jax.make_jaxpr(function)(*arguments)
    return _of(closed.jaxpr, [True] * len(closed.jaxpr.invars))[0]


def _of(jaxpr: Jaxpr, varies: list[bool]) -> tuple[Smoothness, list[bool]]:
    """Return the smoothness of a program, and which of its results vary."""
    varying = {v for v, depends in zip(jaxpr.invars, varies, strict=True) if depends}
    worst = Smoothness.SMOOTH
    for eqn in jaxpr.eqns:
        inside = [not isinstance(v, Literal) and v in varying for v in eqn.invars]
        if not any(inside):
            continue
        found, outputs = _of_equation(eqn, inside)
        worst = max(worst, found)
        varying |= {v for v, depends in zip(eqn.outvars, outputs, strict=True) if depends}
    return worst, [not isinstance(v, Literal) and v in varying for v in jaxpr.outvars]


def _of_equation(eqn: Any, inside: list[bool]) -> tuple[Smoothness, list[bool]]:
    name, everything = eqn.primitive.name, [True] * len(eqn.outvars)
    if name in _STEPS or (name in _CHOICES and _chooses(name, inside)):
        return Smoothness.STEPPED, everything
    if name in _KINKS:
        return Smoothness.KINKED, everything
    if name == "convert_element_type" and _counts(eqn):
        return Smoothness.STEPPED, everything
    programs = list(_programs(eqn.params.values()))
    called = [program.debug_info.func_name for program in programs]
    if any(function in _SMOOTH_FUNCTIONS for function in called):
        return Smoothness.SMOOTH, everything
    if len(programs) == 1 and len(programs[0].invars) == len(inside):
        return _of(programs[0], inside)
    found = [_of(program, [True] * len(program.invars))[0] for program in programs]
    return max(found, default=Smoothness.SMOOTH), everything


def _chooses(name: str, inside: list[bool]) -> bool:
    # The first operand of a selection chooses; every further one of an address does.
    return inside[0] if name in ("select_n", "cond") else any(inside[1:])


def _counts(eqn: Any) -> bool:
    kinds = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    return any(not np.issubdtype(kind, np.inexact) for kind in kinds)


def _programs(values: Iterable[Any]) -> Iterable[Jaxpr]:
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _programs(value)
