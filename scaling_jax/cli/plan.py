"""`scaling-jax plan`: the cheapest model for a quality and a demand."""

import dataclasses
from typing import TYPE_CHECKING, Any

from scaling_jax.cli.options import (
    DemandOptions,
    DollarOptions,
    LimitOptions,
    OptionalPath,
    QualityOptions,
    Switch,
)
from scaling_jax.cli.show import numbers, print_json, print_table, quantity, start_jax

if TYPE_CHECKING:
    from scaling_jax import planning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The cheapest model for a quality and a demand, or the best for a budget.

    The quality is a --loss, or that of a model: --match-params, alone (trained the
    Chinchilla way) or with --match-tokens.
    """

    quality: QualityOptions
    demand: DemandOptions
    limit: LimitOptions
    law: str = "hoffmann2022"
    """A published law (`scaling-jax laws`) or a JSON file."""
    prices: DollarOptions
    elasticities: Switch = False
    """Also print by how many per cent each result moves for one per cent of each input."""
    plot: OptionalPath = None
    """Draw total cost against params along the iso-loss curve into this file."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Plan and print."""
        start_jax()
        from scaling_jax import costs, laws, planning, solve  # noqa: PLC0415

        law = laws.load(self.law)
        dollars = self.prices.cost() if self.prices.dollars else None
        cost = dollars or costs.Flops()
        demand = self.demand.demand()
        if demand is None:
            raise ValueError("plan needs the demand: give --inference-tokens or --requests")
        query: dict[str, Any] = self.quality.target(law) | vars(self.limit)
        best = planning.plan(law, cost, demand, **query)
        answer = numbers(best, best.loss, demand, dollars) | {
            "baseline": numbers(best.baseline, best.loss, demand, dollars),
            "params_ratio": float(best.params_ratio),
            "tokens_ratio": float(best.tokens_ratio),
            "cost_ratio": float(best.cost_ratio),
            "marginal_cost": float(best.marginal_cost),
            "limit": planning.Limit(int(best.limit)).name.lower(),
            "status": solve.Status(int(best.status)).name.lower(),
        }
        if (shape := _shape(float(best.params))) is not None:
            answer["shape"] = shape
        many = laws.load_sourced(self.law).resampled
        if many is not None:
            answer["intervals"] = intervals(many, cost, demand, query)
        if self.elasticities:
            table = planning.elasticities(law, cost, demand, **query)
            answer["elasticities"] = {
                output: {name: float(value) for name, value in row.items()}
                for output, row in table.items()
            }
        if self.plot is not None:
            self._draw(law, cost, demand, best)
        print_json(answer) if self.json else _print(answer, "dollars" if dollars else "FLOPs")

    def _draw(self, law: Any, cost: Any, demand: Any, best: "planning.Plan") -> None:
        from scaling_jax import plotting  # noqa: PLC0415

        assert self.plot is not None
        plotting.save(plotting.iso_loss(law, cost, demand, best), self.plot)


def _shape(params: float) -> dict[str, int] | None:
    """Return a transformer of about this size, or None below the paper's vocabulary."""
    from scaling_jax.shapes import shape_for  # noqa: PLC0415

    try:
        shape = shape_for(params)
    except ValueError:
        return None
    names = ("d_model", "layers", "heads", "kv_heads", "d_ff", "vocab_size", "params")
    return {name: getattr(shape, name) for name in names}


def intervals(laws: Any, cost: Any, demand: Any, query: dict[str, Any]) -> dict[str, Any]:
    """Return the central 95 % of the plans under resampled laws, and how many there are."""
    import jax  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from scaling_jax.planning import plan  # noqa: PLC0415

    plans = jax.jit(jax.vmap(lambda law: plan(law, cost, demand, **query)))(laws)
    feasible = np.asarray(plans.status) == 0
    columns = {
        "params": plans.params,
        "tokens": plans.tokens,
        f"total_{cost.unit}": plans.total_cost,
    }
    intervals = {
        name: np.quantile(np.asarray(column)[feasible], (0.025, 0.975)).tolist()
        for name, column in columns.items()
        if feasible.any()
    }
    return intervals | {"laws": feasible.size, "feasible": int(feasible.sum())}


def _print(answer: dict[str, Any], unit: str) -> None:
    baseline = answer["baseline"]
    rows = [
        (
            name,
            quantity(name, value),
            quantity(name, baseline[name]),
            f"{value / baseline[name]:.2%}",
        )
        for name, value in answer.items()
        if baseline.get(name)
    ]
    print_table("Plan", ("", "plan", "baseline", "plan / baseline"), rows)
    change = 1 - answer["cost_ratio"]
    print(f"Saves {change:.2%} of the lifetime {unit} of the Chinchilla-style baseline.")
    price = f"{-answer['marginal_cost'] / 100:.4g}"
    print(f"0.01 nats less loss costs about {price} more {unit}.")
    if shape := answer.get("shape"):
        print(
            f"A shape of that size: d_model {shape['d_model']}, {shape['layers']} layers, "
            f"{shape['heads']} heads, {shape['kv_heads']} of keys and values."
        )
    if answer["limit"] != "none":
        print(f"The limit that binds: {answer['limit']}.")
    if many := answer.get("intervals"):
        print(
            f"{many['feasible']} of the {many['laws']} resampled laws have such a plan; "
            "the central 95 % of them:"
        )
        for name in (name for name in many if name in answer):
            low, high = (quantity(name, value) for value in many[name])
            print(f"  {name:16s} {low} … {high}")
    if table := answer.get("elasticities"):
        inputs = next(iter(table.values()))
        lines = [(name, *(f"{table[output][name]:.4f}" for output in table)) for name in inputs]
        print_table("d log(result) / d log(input)", ("input", *table), lines)
