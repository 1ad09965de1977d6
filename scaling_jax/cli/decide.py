"""`scaling-jax decide`: which model to commit to under uncertainty."""

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from scaling_jax.cli.options import (
    AxesOptions,
    CapOptions,
    CostOptions,
    DemandOptions,
    LawOptions,
    QualityOptions,
    Switch,
)
from scaling_jax.cli.scenario import Scenario, known_law, scenario
from scaling_jax.cli.show import amount, print_json, print_table, progress, quantity, start_jax

if TYPE_CHECKING:
    from scaling_jax.deciding import Commitment, Decision

_KINDS = {
    "adaptive": "fixed size, tokens adapted once the law is known",
    "fixed": "fixed size and tokens",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MedianDemandOptions(DemandOptions):
    """Inference demand over the model's life, its median: tokens in all, or requests."""

    inference_tokens: Annotated[
        float | None, arg(metavar="FLOAT", aliases=["--demand"], help_behavior_hint="")
    ] = None
    """Inference tokens in all, split into input and output as 70 : 215 (LMSYS averages)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decide:
    """The model to commit to while law and demand are uncertain, and what to find out first.

    The law's uncertainty is that of the resampled laws in its file, as `fit --bootstrap --out`
    writes them, or of the runs that it is fitted to here.

    Example: --runs runs.csv --demand 1e12 --demand-factor 5 --match-params 2.5e9
    """

    law: LawOptions
    demand: MedianDemandOptions
    demand_factor: float = 1.0
    """95 % of the demand lies within this factor of the median (log-normal)."""
    quality: QualityOptions
    limit: CapOptions
    axes: AxesOptions
    risk: Literal["mean", "cvar", "regret"] = "mean"
    """Minimise the expected cost, the mean of the worst cases, or the largest regret."""
    level: float = 0.9
    """Of the CVaR: 0.9 is the worst tenth."""
    infeasible: Literal["shortfall", "drop"] = "shortfall"
    """Samples without a plan: count what they miss of the target, or leave them out."""
    prices: CostOptions
    samples: int = 1000
    """Joint samples; at least as many as there are resampled laws."""
    seed: int = 0
    """Of the samples."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Decide and print."""
        start_jax()
        from scaling_jax.deciding import decide  # noqa: PLC0415

        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            asked = scenario(
                "decide",
                law=known_law(self.law, seed=self.seed, progress=moved),
                prices=self.prices,
                demand=self.demand,
                axes=self.axes,
                query=self.quality.target() | self.limit.given(),
            )
            if asked.choices:
                name = next(iter(asked.choices))
                raise ValueError(f"decide takes one number for each axis; {name} has several")
            stage("deciding")
            decision = decide(
                asked.known.sourced,
                asked.priced.cost,
                self._demands(asked),
                **asked.asked,
                risk=self.risk,
                level=self.level,
                infeasible=self.infeasible,
                paired=False,  # what is known of the law says nothing of the demand
                seed=self.seed,
            )
        answer = _answer(decision, asked, self.risk)
        print_json(answer) if self.json else self._print(decision, asked, answer)

    def _demands(self, asked: Scenario) -> Any:
        """Return the demand, stacked where it is uncertain."""
        from scaling_jax.deciding import log_normal  # noqa: PLC0415

        many = 1 if self.demand_factor == 1 else max(self.samples, asked.known.count)
        factors = log_normal(1.0, self.demand_factor, samples=many, seed=self.seed)
        return asked.served.scaled(factors)

    def _print(self, decision: "Decision", asked: Scenario, answer: dict[str, Any]) -> None:
        model, unit = decision.adaptive, decision.unit
        loss = answer["loss"]
        aim = "" if loss is None else f" to {asked.aim(loss)}"
        print(
            f"Train {quantity('params', model.params)} parameters on about "
            f"{quantity('tokens', model.tokens)} tokens{aim} ({_KINDS['adaptive']})."
        )
        print(
            f"Expected {_noun(unit)}: {amount(unit, model.expected)}. Having to choose now "
            f"costs {amount(unit, model.regret)} on average, {model.regret_share:.2%} of "
            f"what the best plans come to, and {amount(unit, model.worst_regret)} at worst."
        )
        print(decision.advice)
        print(_break_even(decision))
        if not asked.known.count:
            print("The law is taken as certain: it comes without resampled laws.")
        for warning in answer["warnings"]:
            print(f"Beware: {warning}")
        rows = [
            (
                name,
                quantity(name, _named(decision.medians, unit)[name]),
                *(quantity(name, x) for x in interval),
            )
            for name, interval in _named(decision.intervals, unit).items()
        ]
        print_table(
            f"Optimal plans of {decision.feasible:,} samples",
            ("", "median", "95 % from", "to"),
            rows,
        )
        print_table(
            f"Models to commit to, of least {self._risk()}",
            ("", *_KINDS),
            list(_rows(decision)),
        )

    def _risk(self) -> str:
        names = {"mean": "expected outcome", "regret": "largest regret"}
        return names.get(self.risk, f"mean over the worst {1 - self.level:.4g} of the samples")


def _noun(unit: str) -> str:
    return "loss" if unit == "nats" else "cost"


def _named(table: dict[str, Any], unit: str) -> dict[str, Any]:
    """Return a table by column with the cost called by its unit."""
    return {f"total_{unit}" if name == "total_cost" else name: x for name, x in table.items()}


def _break_even(decision: "Decision") -> str:
    low, high = decision.break_even
    if not math.isfinite(decision.break_even_median):
        return "The Chinchilla-style baseline is within 1 % whatever the demand."
    return (
        f"Below {decision.break_even_median:.3g} tokens of demand (95 %: {low:.3g} to "
        f"{high:.3g}) the Chinchilla-style baseline is within 1 %."
    )


def _rows(decision: "Decision") -> Any:
    """Yield the rows of the table that sets the two commitments side by side."""
    unit, models = decision.unit, (decision.adaptive, decision.fixed)
    for name in ("params", "tokens"):
        yield (name, *(quantity(name, getattr(model, name)) for model in models))
    for name in ("expected", "regret", "worst_regret"):
        yield (
            name.replace("_", " "),
            *(quantity(unit, getattr(model, name)) for model in models),
        )
    reached = "reaches the loss" if unit != "nats" else "within the budget"
    yield (reached, *(f"{model.reaches:.1%}" for model in models))
    for source in decision.adaptive.value_of:
        values = (quantity(unit, model.value_of[source]) for model in models)
        yield (f"value of knowing {source}", *values)


def _answer(decision: "Decision", asked: Scenario, risk: str) -> dict[str, Any]:
    unit = decision.unit
    medians = _named(decision.medians, unit)
    intervals = _named(decision.intervals, unit)
    model = decision.adaptive
    answer = {
        "risk": risk,
        "unit": unit,
        "samples": decision.samples,
        "feasible": decision.feasible,
        "infeasible": decision.infeasible,
        "laws": max(asked.known.count, 1),
        "optimal": {
            name: {"median": medians[name], "interval": list(intervals[name])}
            for name in intervals
        },
        "expected_optimum": decision.expected_optimum,
        "adaptive": _plain(model),
        "fixed": _plain(decision.fixed),
        "break_even_tokens": {
            "median": decision.break_even_median,
            "low": decision.break_even[0],
            "high": decision.break_even[1],
        },
        "advice": decision.advice,
        "warnings": [
            *asked.known.warnings(model.params, model.tokens, asked.axes),
            *_without_plan(decision),
        ],
        "loss": asked.wanted_loss(),
        "budget": asked.query.get("budget"),
    }
    matched = {name: x for name, x in asked.query.items() if name.startswith("match")}
    return answer | matched | ({"axes": asked.axes} if asked.axes else {})


def _without_plan(decision: "Decision") -> list[str]:
    if decision.feasible == decision.samples:
        return []
    counted = {
        "shortfall": "in the rest what is missing of the target is priced",
        "drop": "the rest are left out",
    }
    return [
        f"Only {decision.feasible:,} of the {decision.samples:,} samples have a plan at all; "
        f"{counted[decision.infeasible]}."
    ]


def _plain(model: "Commitment") -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(model).items()
    }
