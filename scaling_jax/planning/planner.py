"""`plan`: which model to train, for how long, and what its whole life costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number
from scaling_jax.costs import Bill, LinearCost
from scaling_jax.laws import PowerSum
from scaling_jax.planning.exact import exact_plan
from scaling_jax.planning.general import general_plan
from scaling_jax.planning.records import Plan, Query
from scaling_jax.planning.refusal import check_choices, check_inputs, check_query, refuse
from scaling_jax.solve.meshes import on_any_mesh
from scaling_jax.solve.minimise import DEFAULT_OPTIMISER

LawLike = Callable[..., jax.Array]
CostLike = Callable[..., Bill]


def plan(
    law: LawLike,
    cost: CostLike,
    demand: Any,
    *,
    loss: Number | None = None,
    budget: Number | None = None,
    params: Number | None = None,
    tokens: Number | None = None,
    max_params: Number | None = None,
    max_tokens: Number | None = None,
    choices: Mapping[str, tuple[Number, Number]] | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> Plan:
    """Return the cheapest model for a loss, or the best model for a budget.

    At a loss l:    min over (N, D) of cost(N, D, demand)  subject to  law(N, D) = l.
    At a budget K:  min over (N, D) of law(N, D)  subject to  cost(N, D, demand) <= K.

    A `PowerSum` law with a `LinearCost` (all of ours) is solved exactly, elementwise over
    arrays of any mutually broadcastable shapes. Any other differentiable law or cost, or an
    `optimiser` or `choices` given, takes the general path: one scenario a call, batched with
    `jax.vmap`. Both are differentiable through the optimum, in forward and reverse mode and
    to any order, with respect to every number passed in, and nothing is traced again when
    only numbers change.

    Args:
        law: `law(params, tokens)` in nats per token; a `Law` or any function. Functions are
            compiled once per object, so keep one.
        cost: `cost(params, tokens, demand) -> Bill`; `Flops`, `Dollars` or any function.
        demand: the inference `Demand` over the model's life.
        loss: the target loss. Give this or `budget`.
        budget: the total cost to spend, in the unit of `cost`.
        params: fix the model size; only the tokens are planned.
        tokens: fix the training tokens; only the size is planned.
        max_params: the largest model that the serving device takes.
        max_tokens: the most data that there is.
        choices: further decision variables, name -> (low, high), passed by name to both
            `law` and `cost`.
        optimiser: an Optax transformation for the general path (`optax.lbfgs()` by
            default). Keep one object: a new one is compiled anew.

    Returns:
        A `Plan`. Inside `jax.jit` or `jax.vmap`, and for arrays, a scenario that has no plan
        carries a non-zero `status` and NaN.

    Raises:
        ValueError: an argument is outside its domain, or both or neither of `loss` and
            `budget` are given.
        PlanError: a single scenario outside of `jit` has no plan.

    Source: Sardana et al. 2024 (arXiv 2401.00448), sections 2 to 4 and appendix A.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> best = plan(laws.HOFFMANN_2022, Flops(), Demand(output_tokens=2e12), loss=1.947)
        >>> print(f"{best.params:.4g} params on {best.tokens:.4g} tokens: {best.saving:.2%}")
        2.418e+10 params on 2.657e+12 tokens: 4.78%
    """
    query = Query(
        loss=loss,
        budget=budget,
        params=params,
        tokens=tokens,
        max_params=max_params,
        max_tokens=max_tokens,
    )
    check_query(query)
    check_inputs({"law": law, "cost": cost, "demand": demand, "": query})
    scenario = as_floats(
        law=_as_pytree(law),
        cost=_as_pytree(cost),
        demand=demand,
        query=query,
        choices=dict(choices or {}),
    )
    check_choices(choices or {})
    general = optimiser is not None or bool(choices) or not _is_exact(law, cost)
    if general:
        _check_single(scenario)
    chosen = (optimiser or DEFAULT_OPTIMISER) if general else None
    answer = on_any_mesh(lambda *each: _plan(*each, chosen), *scenario)
    refuse(answer, law, query)
    return answer


def elasticities(
    law: LawLike, cost: CostLike, demand: Any, **query: Any
) -> dict[str, dict[str, jax.Array]]:
    """Return the table d log(output) / d log(input) at the optimum: by how many per cent
    each output of `plan` moves when an input grows by one per cent.

    Args:
        law, cost, demand, **query: as `plan` takes them.

    Returns:
        `table[output][input]`; inputs are dotted paths such as `law.alpha`,
        `cost.serve.decode_mfu`, `demand.output_tokens`, `loss`.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> table = elasticities(
        ...     laws.HOFFMANN_2022, Flops(), Demand(output_tokens=2e12), loss=1.947)
        >>> print(f"{table['params']['demand.output_tokens']:.3f}")
        -0.213
    """
    numeric = {k: v for k, v in query.items() if k != "optimiser" and v is not None}
    static = {k: v for k, v in query.items() if k not in numeric}
    named = {
        "law": _as_pytree(law),
        "cost": _as_pytree(cost),
        "demand": demand,
    } | numeric
    inputs = dict(zip(named, as_floats(**named), strict=True))

    def outputs(inputs: dict[str, Any]) -> dict[str, jax.Array]:
        answer = plan(**inputs, **static)
        return {name: jnp.asarray(getattr(answer, name)) for name in _OUTPUTS}

    plan(**inputs, **static)  # refuses what has no plan
    values, slopes = outputs(inputs), jax.jit(jax.jacfwd(outputs))(inputs)
    leaves = jax.tree.leaves_with_path(inputs)
    return {
        name: {
            jax.tree_util.keystr(path, simple=True, separator="."): slope * x / values[name]
            for (path, x), slope in zip(leaves, jax.tree.leaves(slopes[name]), strict=True)
        }
        for name in _OUTPUTS
    }


_OUTPUTS = ("params", "tokens", "loss", "train_cost", "serve_cost", "total_cost")


@jax.jit(static_argnames="optimiser")
def _plan(
    law: Any,
    cost: Any,
    demand: Any,
    query: Query,
    bounds: dict[str, Any],
    optimiser: optax.GradientTransformation | None,
) -> Plan:
    if optimiser is None:
        return exact_plan(law, cost, demand, query)
    return general_plan(law, cost, demand, query, bounds, optimiser)


def _is_exact(law: Any, cost: Any) -> bool:
    return isinstance(law, PowerSum) and isinstance(cost, LinearCost)


def _as_pytree(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a record as it is, and a plain function as a pytree without leaves."""
    is_leaf = jax.tree_util.all_leaves([function])
    return jax.tree_util.Partial(function) if is_leaf else function


def _check_single(scenario: Any) -> None:
    if any(jnp.ndim(leaf) for leaf in jax.tree.leaves(scenario)):
        raise ValueError(
            "the general path plans one scenario a call, and an input is an array; "
            "use jax.vmap over it"
        )
