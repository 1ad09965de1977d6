"""Failure at the Python edge: one sentence that names the value and what would be right."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from scaling_jax._pytree import Number, fields_with_domain
from scaling_jax.laws import PowerSum
from scaling_jax.planning.records import Plan, PlanError, Query
from scaling_jax.solve import Status


def check_query(query: Query) -> None:
    """Raise ValueError where the question itself is wrong, whatever its numbers."""
    if query.loss is None and query.budget is None:
        raise ValueError("plan needs a target: give loss or budget")
    if query.loss is not None and query.budget is not None:
        raise ValueError("loss and budget are both given; plan takes exactly one of them")
    if query.params is not None and query.tokens is not None:
        raise ValueError(
            "params and tokens are both fixed, which leaves nothing to plan; "
            "call the law and the cost on them instead"
        )
    for name in ("params", "tokens"):
        if None not in (getattr(query, name), getattr(query, f"max_{name}")):
            raise ValueError(f"{name} and max_{name} are both given; give one of them")


def check_inputs(inputs: dict[str, Any]) -> None:
    """Raise ValueError for the first single, concrete number outside its domain."""
    for path, record in inputs.items():
        for name, value, domain in fields_with_domain(record, path):
            number = _concrete(value)
            if number is not None and not domain.contains(number):
                raise ValueError(f"{name} is {number:g}; it must be {domain.words}")


def check_choices(choices: Mapping[str, tuple[Number, Number]]) -> None:
    """Raise ValueError for bounds that leave a further decision variable no room."""
    for name, bounds in choices.items():
        low, high = (_concrete(bound) for bound in bounds)
        if low is not None and high is not None and not -math.inf < low < high < math.inf:
            raise ValueError(
                f"choices[{name!r}] is ({low:g}, {high:g}); it must be two finite numbers, "
                "the smaller first"
            )


def refuse(plan: Plan, law: Any, query: Query) -> None:
    """Raise PlanError where a single, concrete scenario has no plan."""
    code = _concrete(plan.status)
    if code is None or code == Status.CONVERGED:
        return
    status = Status(int(code))
    if status == Status.INVALID:
        raise ValueError("an input is NaN or outside its domain")
    if status == Status.INFEASIBLE:
        raise PlanError(_why_infeasible(law, query))
    if status == Status.OUT_OF_RANGE:
        raise PlanError(f"the optimum for {_target(query)} does not fit {plan.params.dtype}")
    raise PlanError(
        f"the search for {_target(query)} did not converge; "
        "another optimiser or a smoother law or cost may"
    )


def _why_infeasible(law: Any, query: Query) -> str:
    if query.loss is None:
        held = "params" if query.params is not None else "tokens"
        if getattr(query, held) is None:
            return f"no model is found within {_target(query)}"
        return (
            f"serving the demand with {held} {getattr(query, held):g} alone costs more "
            f"than the {_target(query)}; raise the budget or lower {held}"
        )
    limits = {
        name: value
        for name, value in vars(query).items()
        if name not in ("loss", "budget") and value is not None
    }
    given = " and ".join(f"{name} {float(value):g}" for name, value in limits.items())
    if not isinstance(law, PowerSum):
        return f"no model reaches {_target(query)}" + (f" with {given}" if given else "")
    if not law.log_excess(query.loss) > -math.inf:
        floor = float(law.loss_at(-math.inf))
        return (
            f"loss {query.loss:g} cannot be reached; give one above the law's floor {floor:g}"
        )
    if not given:
        return f"no model is found of {_target(query)}"
    params = query.params or query.max_params
    tokens = query.tokens or query.max_tokens
    lowest = law.loss_at_log(
        math.log(params) if params else math.inf,
        math.log(tokens) if tokens else math.inf,
    )
    return (
        f"loss {query.loss:g} cannot be reached with {given}, where the lowest loss "
        f"is {float(lowest):g}; relax a limit or raise the loss"
    )


def _target(query: Query) -> str:
    name = "budget" if query.loss is None else "loss"
    return f"{name} {float(getattr(query, name)):g}"


def _concrete(value: Any) -> float | None:
    """Return a single known number; None for arrays, tracers and whatever is no number."""
    try:
        array = np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return None
    if array.ndim or not np.issubdtype(array.dtype, np.number):
        return None
    return float(array)
