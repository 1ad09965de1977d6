"""`scaling-jax plan`: the cheapest model for a quality and a demand."""

import dataclasses
import math
from typing import Any

from scaling_jax.cli.options import OptionalPath, Switch
from scaling_jax.cli.scenario import Scenario, ScenarioOptions
from scaling_jax.cli.show import (
    print_json,
    print_table,
    progress,
    quantity,
    start_jax,
    unit_words,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(ScenarioOptions):
    """The cheapest model for a quality and a demand, or the best for a budget.

    The quality is a --loss, or that of a model: --match-params, alone (trained the
    Chinchilla way) or with --match-tokens. Law and cost may be your own: --law mylaws.py:MyLaw
    --cost mycosts.py:my_cost.
    """

    elasticities: Switch = False
    """Also print by how many per cent each result moves for one per cent of each input."""
    plot: OptionalPath = None
    """Draw total cost against params along the iso-loss curve into this file."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Plan and print."""
        start_jax()
        from scaling_jax import planning  # noqa: PLC0415

        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            asked = self.scenario("plan", progress=moved)
            stage("planning")
            best = asked.plan()
            answer = _answer(asked, best)
            if asked.known.count:
                answer["intervals"] = intervals(asked)
            if self.elasticities:
                table = planning.elasticities(
                    asked.law, asked.priced.cost, asked.served, **asked.asked
                )
                answer["elasticities"] = {
                    output: {name: float(value) for name, value in row.items()}
                    for output, row in table.items()
                }
            if self.plot is not None:
                from scaling_jax import plotting  # noqa: PLC0415

                cost, demand = asked.priced.cost, asked.served
                drawn = plotting.iso_loss(asked.law, cost, demand, best, axes=asked.axes)
                plotting.save(drawn, self.plot)
        print_json(answer) if self.json else _print(answer, asked)


def _answer(asked: Scenario, best: Any) -> dict[str, Any]:
    from scaling_jax import planning, solve  # noqa: PLC0415

    axes = asked.at(best)
    answer: dict[str, Any] = asked.priced_row(best, axes) | {
        "baseline": asked.priced_row(best.baseline, axes),
        "params_ratio": float(best.params_ratio),
        "tokens_ratio": float(best.tokens_ratio),
        "cost_ratio": float(best.cost_ratio),
        "marginal_cost": float(best.marginal_cost),
        "limit": planning.Limit(int(best.limit)).name.lower(),
        "method": best.method,
        "status": solve.Status(int(best.status)).name.lower(),
        "warnings": asked.warnings(best),
    }
    if axes:
        answer["axes"] = {name: float(value) for name, value in axes.items()}
    if (shape := _shape(float(best.params))) is not None:
        answer["shape"] = shape
    return answer


def _shape(params: float) -> dict[str, int] | None:
    """Return a transformer of about this size, or None below the paper's vocabulary."""
    from scaling_jax.shapes import shape_for  # noqa: PLC0415

    try:
        shape = shape_for(params)
    except ValueError:
        return None
    names = ("d_model", "layers", "heads", "kv_heads", "d_ff", "vocab_size", "params")
    return {name: getattr(shape, name) for name in names}


def intervals(asked: Scenario) -> dict[str, Any]:
    """Return the central 95 % of the plans under the resampled laws, and how many there are."""
    from scaling_jax import planning  # noqa: PLC0415

    many = planning.intervals(
        asked.known.sourced, asked.priced.cost, asked.served, **asked.asked
    )
    named = {
        f"total_{asked.priced.unit}" if name == "total_cost" else name: each
        for name, each in many.central.items()
    }
    return {name: list(each) for name, each in named.items()} | {
        "laws": many.laws,
        "feasible": many.feasible,
    }


def _print(answer: dict[str, Any], asked: Scenario) -> None:
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
    if "match_params" in asked.query:
        print(f"It was to {asked.aim(answer['loss'])}.")
    _print_axes(answer, asked)
    change = 1 - answer["cost_ratio"]
    said = unit_words(asked.priced.unit)
    if math.isnan(change):
        print("There is no Chinchilla-style baseline of this quality within the limits.")
    else:
        print(f"Saves {change:.2%} of the lifetime {said} of the Chinchilla-style baseline.")
    price = f"{-answer['marginal_cost'] / 100:.4g}"
    print(f"0.01 nats less loss costs about {price} more {said}.")
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
    for warning in answer["warnings"]:
        print(f"Beware: {warning}")
    if table := answer.get("elasticities"):
        inputs = next(iter(table.values()))
        lines = [(name, *(f"{table[output][name]:.4f}" for output in table)) for name in inputs]
        print_table("d log(result) / d log(input)", ("input", *table), lines)


def _print_axes(answer: dict[str, Any], asked: Scenario) -> None:
    for name, value in answer.get("axes", {}).items():
        each = asked.choices.get(name)
        among = (
            ""
            if each is None
            else f", chosen from {each[0]:g} to {each[1]:g}"
            if isinstance(each, tuple)
            else f", the best of {', '.join(f'{x:g}' for x in each)}"
        )
        print(f"{name} is {quantity(name, value)}{among}.")
