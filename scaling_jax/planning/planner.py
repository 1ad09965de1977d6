"""`plan`: which model to train, for how long, and what its whole life costs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from scaling_jax._axes import check_axes, cost_axes, law_axes
from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number
from scaling_jax.costs import Bill, LinearCost
from scaling_jax.laws import Sourced, unwrapped
from scaling_jax.planning.batches import over_batches
from scaling_jax.planning.exact import exact_plan
from scaling_jax.planning.functions import as_pytree, is_numeric
from scaling_jax.planning.general import general_plan
from scaling_jax.planning.matching import resolved
from scaling_jax.planning.records import Plan, Query
from scaling_jax.planning.reduced import reduced_plan
from scaling_jax.planning.refusal import (
    check_choices,
    check_inputs,
    check_query,
    refuse,
    warned,
)
from scaling_jax.planning.scenario import Scenario, as_power_sum
from scaling_jax.planning.validity import sane, valid
from scaling_jax.solve.meshes import on_any_mesh

if TYPE_CHECKING:
    import optax

_CHUNK = 1024

LawLike = Callable[..., Any] | Sourced
CostLike = Callable[..., Bill]
Choice = Sequence[Number] | tuple[Number, Number]


def plan(
    law: LawLike,
    cost: CostLike,
    demand: Any,
    *,
    loss: Number | None = None,
    budget: Number | None = None,
    match_params: Number | None = None,
    match_tokens: Number | None = None,
    params: Number | None = None,
    tokens: Number | None = None,
    max_params: Number | None = None,
    max_tokens: Number | None = None,
    axes: Mapping[str, Number] | None = None,
    choices: Mapping[str, Choice] | None = None,
    constraints: Callable[..., Any] | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> Plan:
    """Return the cheapest model for a loss, or the best model for a budget.

    At a loss l:    min over (N, D) of cost(N, D, demand)  subject to  law(N, D) = l.
    At a budget K:  min over (N, D) of law(N, D)  subject to  cost(N, D, demand) <= K.

    Three planners give one answer, and `Plan.method` says which gave it. `exact`: a law that
    is a sum of powers with a `LinearCost` (all of ours), closed form but for one root.
    `reduced`: any law that falls in N and any cost, with kinks and jumps too; global to the
    resolution of a grid. `general`: choices in an interval, `constraints` of your own, or an
    `optimiser`. All take arrays of any mutually broadcastable shapes, work inside `jax.jit` and
    `jax.vmap`, are differentiable through the optimum with respect to every number passed in,
    in forward and reverse mode and to any order, and trace nothing again when only numbers
    change.

    Args:
        law: `law(params, tokens, **axes)` in nats per token; a `Law`, a `Sourced` one, or any
            function, whatever it closes over.
        cost: `cost(params, tokens, demand, **axes) -> Bill`; `Flops`, `Dollars` or any
            function.
        demand: the inference `Demand` over the model's life.
        loss: the target loss. Give this, `budget` or `match_params`.
        budget: the total cost to spend, in the unit of `cost`.
        match_params: be as good, under this law, as a model of so many parameters.
        match_tokens: the training tokens of that model; compute-optimal unless given.
        params: fix the model size; only the tokens are planned.
        tokens: fix the training tokens; only the size is planned.
        max_params: the largest model that the serving device takes.
        max_tokens: the most data that there is.
        axes: the values of further axes that law or cost read, by name.
        choices: further axes to choose: name -> a list of values to choose from, or a tuple
            (low, high) to choose between.
        constraints: `constraints(params, tokens, demand, **axes)` -> one number or several
            that must not be positive, each of order one where it matters; any function,
            whatever it closes over.
        optimiser: an Optax transformation for the general planner (`optax.lbfgs()` by
            default). Keep one object: a new one is compiled anew.

    Returns:
        A `Plan`. Inside `jax.jit` or `jax.vmap`, and for arrays, a scenario that has no plan
        carries a non-zero `status` and NaN.

    Raises:
        ValueError: an argument is outside its domain, not exactly one target is given, or an
            axis is missing or not read.
        PlanError: a single scenario outside of `jit` has no plan.

    Source: Sardana et al. 2024 (arXiv 2401.00448), sections 2 to 4 and appendix A.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> best = plan(laws.HOFFMANN_2022, Flops(), Demand(output_tokens=2e12), loss=1.947)
        >>> print(f"{best.params:.4g} params on {best.tokens:.4g} tokens: {best.saving:.2%}")
        2.418e+10 params on 2.657e+12 tokens: 4.78%
    """
    question = dict(
        loss=loss,
        budget=budget,
        match_params=match_params,
        match_tokens=match_tokens,
        params=params,
        tokens=tokens,
        max_params=max_params,
        max_tokens=max_tokens,
    )
    further = dict(axes=axes, choices=choices, constraints=constraints)
    inputs = plan_inputs(law, cost, demand, **further, **question)
    answer = on_any_mesh(lambda *each: compiled_plan(*each, optimiser=optimiser), *inputs)
    refuse(answer, law, Query(**question), axes or {})
    return warned(answer, law, axes or {})


def plan_inputs(
    law: Any,
    cost: Any,
    demand: Any,
    *,
    axes: Any = None,
    choices: Any = None,
    constraints: Any = None,
    **question: Any,
) -> tuple[Any, ...]:
    """Return everything that enters the compiled program, checked and of one floating dtype.

    These are law, cost, demand, question, axes, lists and intervals to choose from, and
    constraints.
    """
    query, law = Query(**question), unwrapped(law)
    axes, choices = dict(axes or {}), dict(choices or {})
    check_query(query)
    check_choices(axes, choices)
    check_axes(law, cost, [*axes, *choices])
    check_inputs({"law": law, "cost": cost, "demand": demand, "": query})
    lists = {k: tuple(v) for k, v in choices.items() if not isinstance(v, tuple)}
    intervals = {k: v for k, v in choices.items() if isinstance(v, tuple)}
    named = {**axes, **choices}
    numeric = {name: x for name, x in {"law": law, "cost": cost}.items() if is_numeric(x)}
    trees = dict(
        demand=demand, query=query, axes=axes, lists=lists, intervals=intervals, **numeric
    )
    cast = dict(zip(trees, as_floats(**trees), strict=True))
    dtype = jax.tree.leaves(cast["query"])[0].dtype
    if "law" not in cast:
        cast["law"] = as_pytree(law, (0.0, 0.0), _read(law_axes(law), named), dtype)
    at = (0.0, 0.0, cast["demand"])
    if "cost" not in cast:
        cast["cost"] = as_pytree(cost, at, _read(cost_axes(cost), named), dtype)
    if constraints is not None:
        cast["constraints"] = as_pytree(constraints, at, dict.fromkeys(named, 0.0), dtype)
    names = ("law", "cost", "demand", "query", "axes", "lists", "intervals", "constraints")
    return tuple(cast.get(name) for name in names)


def _read(axes: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    names = named if axes.open else [name for name in axes.names if name in named]
    return dict.fromkeys(names, 0.0)


@jax.jit(static_argnames=("optimiser",))
def compiled_plan(
    law: Any,
    cost: Any,
    demand: Any,
    query: Query,
    axes: dict[str, Any],
    lists: dict[str, Any],
    intervals: dict[str, Any],
    constraints: Any,
    *,
    optimiser: optax.GradientTransformation | None,
) -> Plan:
    """Return the plan of inputs that are checked, for every scenario of a batch."""
    general = bool(intervals) or constraints is not None or optimiser is not None
    power = None if lists or intervals else as_power_sum(law, axes)
    if not general and power is not None and isinstance(cost, LinearCost):
        allowed = valid((law, cost, demand, query))
        law, cost, demand, query = sane(law), sane(cost), sane(demand), sane(query)
        return exact_plan(
            Scenario(law, cost, demand, resolved(law, query, axes), axes), allowed
        )

    def one(law: Any, cost: Any, demand: Any, query: Any, *rest: Any) -> Plan:
        axes, lists, within, constraints = rest
        allowed = valid((law, cost, demand, query))
        law, cost, demand, query = map(sane, (law, cost, demand, query))
        query = resolved(law, query, axes)
        s = Scenario(law, cost, demand, query, axes)
        picks = [
            dict(zip(lists, values, strict=True))
            for values in itertools.product(*lists.values())
        ]
        if general:
            return general_plan(s, picks, within, constraints, optimiser, allowed)
        return reduced_plan(s, picks, allowed)

    inputs = (law, cost, demand, query, axes, lists, intervals, constraints)
    # In chunks, so that a scenario that takes many steps does not keep all others waiting.
    return over_batches(one, *inputs, chunk=_CHUNK if general else None)
