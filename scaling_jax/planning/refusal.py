"""Failure at the Python edge: one sentence that names the value and what would be right."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from scaling_jax._pytree import fields_with_domain
from scaling_jax.laws import PowerSum, Sourced, unwrapped
from scaling_jax.planning.records import Plan, PlanError, Query
from scaling_jax.planning.scenario import as_power_sum
from scaling_jax.solve import Status


def check_query(query: Query) -> None:
    """Raise ValueError where the question itself is wrong, whatever its numbers."""
    targets = ("loss", "budget", "match_params")
    given = [name for name in targets if getattr(query, name) is not None]
    if not given:
        raise ValueError("plan needs a target: give loss or budget or match_params")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are both given; plan takes exactly one target")
    if query.match_tokens is not None and query.match_params is None:
        raise ValueError("match_tokens is given without match_params, the model they train")
    if query.params is not None and query.tokens is not None:
        raise ValueError(
            "params and tokens are both fixed, which leaves nothing to plan; "
            "call the law and the cost on them instead"
        )
    for name in ("params", "tokens"):
        fixed, limit = getattr(query, name), getattr(query, f"max_{name}")
        if fixed is not None and limit is not None:
            raise ValueError(f"{name} and max_{name} are both given; give one of them")


def check_inputs(inputs: dict[str, Any]) -> None:
    """Raise ValueError for the first single, concrete number outside its domain."""
    for path, record in inputs.items():
        for name, value, domain in fields_with_domain(record, path):
            number = _concrete(value)
            if number is not None and not domain.contains(number):
                raise ValueError(f"{name} is {number:g}; it must be {domain.words}")


def check_choices(axes: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Raise ValueError for choices that leave nothing to choose, or name a given axis."""
    for name, choice in choices.items():
        if name in axes:
            raise ValueError(f"the axis {name!r} is both given and chosen; do one of the two")
        if not isinstance(choice, tuple):
            if not len(choice):
                raise ValueError(f"choices[{name!r}] is an empty list; it must have a value")
            continue
        if len(choice) != 2:
            raise ValueError(
                f"choices[{name!r}] is a tuple of {len(choice)}; it must be (low, high), or a "
                "list of values"
            )
        low, high = map(_concrete, choice)
        if low is not None and high is not None and not -math.inf < low < high < math.inf:
            raise ValueError(
                f"choices[{name!r}] is ({low:g}, {high:g}); it must be two finite numbers, "
                "the smaller first"
            )


def refuse(plan: Plan, law: Any, query: Query, axes: Mapping[str, Any]) -> None:
    """Raise PlanError where a single, concrete scenario has no plan."""
    code = _concrete(plan.status)
    if code is None or code == Status.CONVERGED:
        return
    status = Status(int(code))
    if status == Status.INVALID:
        raise ValueError("an input is NaN or outside its domain")
    if status == Status.INFEASIBLE:
        power = None if plan.choices else as_power_sum(unwrapped(law), axes)
        raise PlanError(_why_infeasible(power, query))
    if status == Status.OUT_OF_RANGE:
        raise PlanError(f"the optimum for {_target(query)} does not fit {plan.params.dtype}")
    raise PlanError(
        f"the search for {_target(query)} did not converge; "
        "a smoother law or cost, or another optimiser, may"
    )


def warned(plan: Plan, law: Any, axes: Mapping[str, Any]) -> Plan:
    """Return the plan, a single, concrete one with what its law says of it."""
    if not isinstance(law, Sourced) or _concrete(plan.status) != Status.CONVERGED:
        return plan
    named = {name: _concrete(x) for name, x in {**axes, **plan.choices}.items()}
    known = {name: x for name, x in named.items() if x is not None}
    beyond = law.valid.beyond(float(plan.params), float(plan.tokens), **known)
    # Sentences are no numbers: they stay out of the pytree.
    sentences = () if beyond is None else (f"the plan lies {beyond}",)
    object.__setattr__(plan, "_warnings", sentences)
    return plan


def _why_infeasible(power: PowerSum | None, query: Query) -> str:
    limits = {
        name: value
        for name, value in vars(query).items()
        if name not in ("loss", "budget", "match_params", "match_tokens") and value is not None
    }
    given = " and ".join(f"{name} {float(value):g}" for name, value in limits.items())
    within = f" with {given}" if given else ""
    if query.loss is None:
        wanted = "raise the budget" if query.budget is not None else "ask for less"
        advice = wanted + (" or relax a limit" if given else "")
        return f"no model is found of {_target(query)}{within}; {advice}"
    if power is None:
        return f"no model reaches {_target(query)}{within}; raise the loss or relax a limit"
    if not power.log_excess(query.loss) > -math.inf:
        floor = float(power.loss_at(-math.inf))
        return (
            f"loss {query.loss:g} cannot be reached; give one above the law's floor {floor:g}"
        )
    if not given:
        return f"no model is found of {_target(query)}"
    params = query.params or query.max_params
    tokens = query.tokens or query.max_tokens
    lowest = power.loss_at_log(
        math.log(params) if params else math.inf,
        math.log(tokens) if tokens else math.inf,
    )
    return (
        f"loss {query.loss:g} cannot be reached with {given}, where the lowest loss "
        f"is {float(lowest):g}; relax a limit or raise the loss"
    )


def _target(query: Query) -> str:
    name = next(x for x in ("loss", "budget", "match_params") if getattr(query, x) is not None)
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
