"""The parts of the report that say what was planned, how sure it is, and what moves it."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling_jax.cli import page
from scaling_jax.cli.options import Known
from scaling_jax.cli.plan import intervals
from scaling_jax.cli.show import numbers, quantity

if TYPE_CHECKING:
    from scaling_jax.costs import Demand, LinearCost
    from scaling_jax.planning import Plan

_ROWS = {
    "params": "parameters",
    "tokens": "training tokens",
    "tokens_per_param": "training tokens per parameter",
    "train_flops": "training, FLOPs",
    "serve_flops": "serving, FLOPs",
    "total_flops": "training and serving, FLOPs",
    "train_dollars": "training, dollars",
    "serve_dollars": "serving, dollars",
    "total_dollars": "training and serving, dollars",
}
_INPUTS = {
    "loss": "target loss",
    "budget": "budget",
    "demand.input_tokens": "input tokens served",
    "demand.output_tokens": "output tokens served",
    "cost.train.dollars_per_hour": "price of a training chip",
    "cost.train.mfu": "MFU in training",
    "cost.serve.dollars_per_hour": "price of a serving chip",
    "cost.serve.prefill_mfu": "MFU on input tokens",
    "cost.serve.decode_mfu": "MFU on output tokens",
    "cost.train.peak_flops": "peak speed of a training chip",
    "cost.serve.peak_flops": "peak speed of a serving chip",
}
# So many of them, those that move the cost most, are said in words.
_SAID = 4


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What was asked, and its plan, as parts of a page."""

    known: Known
    cost: "LinearCost"
    demand: "Demand"
    query: dict[str, Any]
    best: "Plan"

    @property
    def unit(self) -> str:
        return "" if self.cost.unit == "dollars" else " FLOPs"  # $ stands before the number

    def answer(self) -> Iterator[str]:
        """Yield the plan in one sentence, beside its baseline, and its picture."""
        from scaling_jax import plotting  # noqa: PLC0415
        from scaling_jax.planning import Limit  # noqa: PLC0415

        best, unit = self.best, self.cost.unit
        total, change = float(best.total_cost), float(best.saving)
        cost = quantity(unit, total) + self.unit
        yield page.prose(
            f"Train {_large(best.params)} parameters on {_large(best.tokens)} tokens. "
            f"Its whole life, with {_large(self.demand.tokens)} tokens served, costs {cost}: "
            f"{abs(change):.1%} {'less' if change >= 0 else 'more'} than the model of equal "
            "quality that is cheapest to train.",
            kind="lead",
        )
        yield page.heading("The plan and its baseline")
        dollars: Any = self.cost if unit == "dollars" else None
        rows = numbers(best, best.loss, self.demand, dollars)
        base = numbers(best.baseline, best.loss, self.demand, dollars)
        yield page.table(
            ("", "plan", "baseline", "plan / baseline"),
            [
                (words, quantity(n, rows[n]), quantity(n, base[n]), _ratio(rows[n], base[n]))
                for n, words in _ROWS.items()
                if base.get(n)
            ],
        )
        yield page.prose(
            f"Both reach a loss of {float(best.loss):.4f} nats per token. The baseline, after "
            "Chinchilla, is the model of this loss that costs least to train; what it costs "
            "to serve is not considered in choosing it.",
            f"A loss lower by 0.01 would cost about "
            f"{quantity(unit, -float(best.marginal_cost) / 100)}{self.unit} more.",
            ""
            if best.limit == 0
            else f"The limit that binds is {Limit(best.limit).name.lower()}.",
        )
        drawn = plotting.iso_loss(self.known.law, self.cost, self.demand, best)
        yield page.picture(
            plotting.svg(drawn),
            "What models of this quality cost. Small ones must train longer (left), large "
            "ones cost more to serve (right); the plan is where the sum is least.",
        )

    def sureness(self) -> Iterator[str]:
        """Yield the intervals of the plan under the resampled laws."""
        from scaling_jax import plotting  # noqa: PLC0415

        if self.known.resampled is None:
            return
        many = intervals(self.known.resampled, self.cost, self.demand, self.query)
        yield page.heading("How sure it is")
        yield page.prose(
            f"The law was refitted to {many['laws']:,} resampled sets of runs; under "
            f"{many['feasible']:,} of them there is such a plan. 95 % of these lie within:"
        )
        yield page.table(
            ("", "from", "to"),
            [
                (words, *(quantity(name, value) for value in many[name]))
                for name, words in _ROWS.items()
                if name in many
            ],
        )
        if self.known.fitted is not None:
            yield page.picture(
                plotting.svg(plotting.curves(self.known.fitted)),
                "The training runs (points) and the law fitted to them (lines).",
            )

    def movers(self) -> Iterator[str]:
        """Yield by how much the plan moves with what goes into it, in words and as a table."""
        from scaling_jax.planning import elasticities  # noqa: PLC0415

        table = elasticities(self.known.law, self.cost, self.demand, **self.query)
        shown = ("params", "tokens", "total_cost" if self.query["loss"] else "loss")
        rows = {path: [float(table[name][path]) for name in shown] for path in table["params"]}
        yield page.heading("What moves it")
        yield page.prose("One input changes by one per cent, the others are held.")
        known = [path for path in _INPUTS if path in rows and "peak" not in path]
        known.sort(key=lambda path: -abs(rows[path][2]))
        last = "cost" if self.query["loss"] else "loss"
        yield page.points(
            f"{_INPUTS[path][0].upper()}{_INPUTS[path][1:]} up by 1 %: the best model has "
            f"{_change(rows[path][0], 'more', 'fewer')} parameters and "
            f"{_change(rows[path][1], 'more', 'fewer')} training tokens, and its {last} is "
            f"{_change(rows[path][2], 'higher', 'lower')}."
            for path in known[:_SAID]
        )
        named = {path: _INPUTS[path] for path in _INPUTS if path in rows}
        named |= {
            path: path.replace("law.", "the law's ") for path in rows if path not in named
        }
        yield page.table(
            ("1 % more", "parameters", "training tokens", last),
            [(words, *map(_signed, rows[path])) for path, words in named.items()],
        )

    def others(self) -> Iterator[str]:
        """Yield maps of the plans for other losses and other demands."""
        import numpy as np  # noqa: PLC0415

        from scaling_jax import plotting  # noqa: PLC0415
        from scaling_jax.costs import Demand  # noqa: PLC0415
        from scaling_jax.grids import grid  # noqa: PLC0415
        from scaling_jax.planning import plan  # noqa: PLC0415

        law, served = self.known.law, float(self.demand.tokens)
        ends = law.compute_optimal(params=np.array([10.0, 0.1]) * self.best.baseline.params)
        low, high = np.asarray(law(ends.params, ends.tokens)).tolist()
        middle = served or 1e12
        share = self.demand.input_tokens / served if served else 0.0

        def around(loss: Any, inference_tokens: Any) -> dict[str, Any]:
            demand = Demand(
                input_tokens=share * inference_tokens,
                output_tokens=(1 - share) * inference_tokens,
            )
            best = plan(law, self.cost, demand, loss=loss)
            return {"params": best.params, "saving": best.saving}

        plans = grid(
            around,
            {
                "loss": np.linspace(low, high, 81),
                "inference_tokens": np.geomspace(middle / 100, middle * 100, 81),
            },
        )
        here = {"loss": float(self.best.loss), "inference_tokens": served}
        yield page.heading("Other qualities, other demands")
        yield page.picture(
            plotting.svg(plotting.all_scenarios(plans, here if served else None)),
            "The best size, and the share of the baseline's cost that it saves, for other "
            "losses and demands, without limits on size or data. The star is what was asked.",
        )


def _large(value: Any) -> str:
    """Return a count in words: 24.2 billion."""
    number = float(value)
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:,.4g} {name}"
    return f"{number:,.0f}"


def _ratio(value: float, base: float) -> str:
    ratio = value / base
    return f"{ratio:.1%}" if ratio < 10 else f"{ratio:,.0f} times"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f} %".replace("-", "−")  # + 0.0: no negative zero


def _change(value: float, more: str, less: str) -> str:
    return f"{abs(value):.2f} % {more if value >= 0 else less}"
