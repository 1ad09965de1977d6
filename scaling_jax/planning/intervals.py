"""How sure a plan is: the same question under many laws."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws import Sourced
from scaling_jax.planning.planner import plan
from scaling_jax.planning.records import Plan
from scaling_jax.solve import Status

_OF = ("params", "tokens", "loss", "train_cost", "serve_cost", "total_cost")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """The plans under many laws, and within what most of them lie.

    Attributes:
        plans: the plan under each law, stacked [laws]; NaN where there is none.
        laws: how many laws there are.
        feasible: how many of them have a plan; the intervals are those of their plans.
        central: the central 95 % (or `share`) of params, tokens, loss and the costs, and of
            each axis that is chosen, by name; empty where no law has a plan.
    """

    plans: Plan
    laws: int
    feasible: int
    central: dict[str, tuple[float, float]]


def intervals(
    law: Any, cost: Any, demand: Any, *, share: float = 0.95, **query: Any
) -> Intervals:
    """Return how plans differ under resampled laws: what a law's uncertainty does to a plan.

    Every law answers the whole question by itself: of `match_params` it takes its own quality
    of that model, so that "as good as a 2.5B model" is asked of each.

    Args:
        law: a `Sourced` law with `resampled` ones, as `fit(…, bootstrap=…).sourced` or
            `laws.load_sourced` give it; or laws of one family, stacked along the first axis.
        cost, demand, **query: as `plan` takes them.
        share: how much of the plans the intervals hold.

    Raises:
        ValueError: the law comes without resampled ones, or an argument is not as `plan`
            takes it.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> floors = np.linspace(1.6, 1.8, 41)
        >>> many = jax.tree.map(lambda x: np.full(41, x), laws.HOFFMANN_2022)
        >>> many = laws.with_coefficients(many, {"E": floors})
        >>> found = intervals(many, Flops(), Demand(output_tokens=2e12), match_params=7e9)
        >>> print("{:.4g} to {:.4g}".format(*found.central["loss"]))
        2.042 to 2.232
    """
    many = law.resampled if isinstance(law, Sourced) else law
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(many)}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            "intervals needs many laws of one family: a Sourced law with resampled ones, as "
            "fit with bootstrap makes it, or coefficients stacked along the first axis"
        )
    if not 0 < share < 1:
        raise ValueError(f"share is {share:g}; it must be between 0 and 1")
    plans = jax.vmap(lambda one: plan(one, cost, demand, **query))(many)
    ((count,),) = lengths
    feasible = np.broadcast_to(np.asarray(plans.status) == Status.CONVERGED, count)
    columns = {name: getattr(plans, name) for name in _OF} | dict(plans.choices)
    tail = (1 - share) / 2
    central = {}
    for name, column in columns.items():
        values = np.broadcast_to(np.asarray(column, float), count)[feasible]
        if values.size:
            low, high = np.quantile(values, (tail, 1 - tail)).tolist()
            central[name] = low, high
    return Intervals(plans=plans, laws=count, feasible=int(feasible.sum()), central=central)
