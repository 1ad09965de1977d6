"""The parts of the report that say what was planned, how sure it is, and what moves it."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling_jax.cli import page
from scaling_jax.cli.plan import intervals
from scaling_jax.cli.prose import change, input_name, large, ratio, row_name, signed
from scaling_jax.cli.scenario import Scenario
from scaling_jax.cli.show import quantity

if TYPE_CHECKING:
    from scaling_jax.planning import Plan

# So many inputs, those that move the outcome most, are said in words.
_SAID = 4
# What they move is told of these as numbers of the law or the catalogue, not in words.
_ONLY_IN_TABLE = ("law.", "cost.train.peak", "cost.serve.peak")
# Further losses are shown between those of models so many times smaller and larger.
_AROUND = 10.0
# Further demands are around this one, in tokens, where none is asked for.
_SOME_DEMAND = 1e12


def answer(asked: Scenario, best: "Plan") -> Iterator[str]:
    """Yield the plan in one sentence, beside its baseline, and its picture."""
    from scaling_jax import plotting  # noqa: PLC0415

    cost = asked.priced.amount(best.total_cost)
    yield page.prose(
        f"Train {large(best.params)} parameters on {large(best.tokens)} tokens"
        f"{_with_axes(asked, best)}. Its whole life, with {large(asked.served.tokens)} tokens "
        f"served, costs {cost}{_against_baseline(best)}.",
        kind="lead",
    )
    yield page.heading("The plan and its baseline")
    axes = asked.at(best)
    rows, base = asked.priced_row(best, axes), asked.priced_row(best.baseline, axes)
    yield page.table(
        ("", "plan", "baseline", "plan / baseline"),
        [
            (row_name(n), quantity(n, rows[n]), quantity(n, base[n]), ratio(rows[n], base[n]))
            for n in rows
            if base[n] and n != "loss"
        ],
    )
    yield page.prose(*_about(asked, best))
    drawn = plotting.iso_loss(asked.law, asked.priced.cost, asked.served, best, axes=asked.axes)
    yield page.picture(
        plotting.svg(drawn),
        "What models of this quality cost. Small ones must train longer (left), large "
        "ones cost more to serve (right); the plan is where the sum is least.",
    )


def _with_axes(asked: Scenario, best: "Plan") -> str:
    words = [
        f"{name.replace('_', ' ')} {quantity(name, float(value))}"
        + (" (chosen)" if name in asked.choices else "")
        for name, value in asked.at(best).items()
    ]
    return f", with {' and '.join(words)}" if words else ""


def _against_baseline(best: "Plan") -> str:
    saved = float(best.saving)
    if math.isnan(saved):
        return "; no model within the limits is of equal quality and cheapest to train"
    return (
        f": {abs(saved):.1%} {'less' if saved >= 0 else 'more'} than the model of equal "
        "quality that is cheapest to train"
    )


def _about(asked: Scenario, best: "Plan") -> Iterator[str]:
    from scaling_jax.planning import Limit  # noqa: PLC0415

    yield f"Both reach a loss of {float(best.loss):.4f} nats per token."
    if "match_params" in asked.query:
        yield f"The model was to {asked.aim(float(best.loss))}."
    yield (
        "The baseline, after Chinchilla, is the model of this loss that costs least to train; "
        "what it costs to serve is not considered in choosing it."
    )
    lower = asked.priced.amount(-best.marginal_cost / 100)
    yield f"A loss lower by 0.01 would cost about {lower} more."
    if best.limit != 0:
        yield f"The limit that binds is {Limit(int(best.limit)).name.lower()}."


def sureness(asked: Scenario) -> Iterator[str]:
    """Yield the intervals of the plan under the resampled laws."""
    from scaling_jax import plotting  # noqa: PLC0415

    if not asked.known.count:
        return
    many = intervals(asked)
    each = ", as good as that model under each of them" if "match_params" in asked.query else ""
    yield page.heading("How sure it is")
    yield page.prose(
        f"The law was refitted to {many['laws']:,} resampled sets of runs; under "
        f"{many['feasible']:,} of them there is such a plan{each}. 95 % of these lie within:"
    )
    yield page.table(
        ("", "from", "to"),
        [
            (row_name(name), *(quantity(name, value) for value in many[name]))
            for name in many
            if name not in ("laws", "feasible")
        ],
    )
    if asked.known.fitted is not None:
        yield page.picture(
            plotting.svg(plotting.curves(asked.known.fitted)),
            "The training runs (points) and the law fitted to them (lines).",
        )


def movers(asked: Scenario) -> Iterator[str]:
    """Yield by how much the plan moves with what goes into it, in words and as a table."""
    from scaling_jax.planning import elasticities  # noqa: PLC0415

    table = elasticities(asked.law, asked.priced.cost, asked.served, **asked.asked)
    last = "loss" if "budget" in asked.query else "cost"
    shown = ("params", "tokens", "loss" if last == "loss" else "total_cost")
    rows = {path: [float(table[name][path]) for name in shown] for path in table["params"]}
    rows = {path: row for path, row in rows.items() if any(row)}  # what matters at all
    yield page.heading("What moves it")
    yield page.prose("One input changes by one per cent, the others are held.")
    said = [path for path in rows if not path.startswith(_ONLY_IN_TABLE)]
    said.sort(key=lambda path: -abs(rows[path][2]))
    yield page.points(_moved(path, rows[path], last) for path in said[:_SAID])
    yield page.table(
        ("1 % more", "parameters", "training tokens", last),
        [(input_name(path), *map(signed, row)) for path, row in rows.items()],
    )


def _moved(path: str, row: list[float], last: str) -> str:
    name = input_name(path)
    return (
        f"{name[0].upper()}{name[1:]} up by 1 %: the best model has "
        f"{change(row[0], 'more', 'fewer')} parameters and "
        f"{change(row[1], 'more', 'fewer')} training tokens, and its {last} is "
        f"{change(row[2], 'higher', 'lower')}."
    )


def others(asked: Scenario, best: "Plan") -> Iterator[str]:
    """Yield maps of the plans for other losses and other demands."""
    import numpy as np  # noqa: PLC0415

    from scaling_jax import plotting  # noqa: PLC0415
    from scaling_jax._axes import call_law  # noqa: PLC0415
    from scaling_jax.costs import Demand  # noqa: PLC0415
    from scaling_jax.grids import grid  # noqa: PLC0415
    from scaling_jax.planning import plan  # noqa: PLC0415

    served = float(asked.served.tokens)
    demand = asked.served if served else Demand.of_tokens(_SOME_DEMAND)
    middle = served or _SOME_DEMAND
    axes, base = asked.at(best), best.baseline if np.isfinite(best.baseline.params) else best
    low, high = (
        float(call_law(asked.law, base.params * size, base.tokens * size, **axes))
        for size in (_AROUND, 1 / _AROUND)
    )
    further = {name: each for name, each in asked.asked.items() if name in ("axes", "choices")}

    def around(loss: Any, inference_tokens: Any) -> dict[str, Any]:
        scaled = demand.scaled(inference_tokens / middle)
        each = plan(asked.law, asked.priced.cost, scaled, loss=loss, **further)
        return {"params": each.params, "saving": each.saving}

    if not high > low:
        return
    plans = grid(
        around,
        {
            "loss": np.linspace(low, high, 81),
            "inference_tokens": np.geomspace(middle / 100, middle * 100, 81),
        },
    )
    here = {"loss": float(best.loss), "inference_tokens": served}
    yield page.heading("Other qualities, other demands")
    yield page.picture(
        plotting.svg(plotting.all_scenarios(plans, here if served else None)),
        "The best size, and the share of the baseline's cost that it saves, for other "
        "losses and demands, without limits on size or data. The star is what was asked.",
    )


def assumptions(asked: Scenario) -> Iterator[str]:
    """Yield what a plan takes for granted, as far as this law and this cost do."""
    from scaling_jax._axes import cost_axes, law_axes  # noqa: PLC0415

    read = {*law_axes(asked.law).names, *cost_axes(asked.priced.cost).names}
    yield "Quality is the loss in pre-training; models of equal loss are taken as equally good."
    yield "Demand does not depend on the model's size."
    if asked.priced.source is None:
        yield "MFU and prices do not depend on the model's size, on batch or on context."
    if "unique_tokens" not in read and "epochs" not in read:
        yield "Every training token is new: there are as many as the plan asks for."
    if asked.priced.source is None and not any("bits" in name for name in read):
        yield "Serving in fewer bits does not cost quality."


def warnings(asked: Scenario, best: "Plan") -> list[str]:
    """Return what to beware of."""
    certain = "The law is taken as certain: it comes without resampled laws."
    return asked.warnings(best) + ([] if asked.known.count else [certain])
