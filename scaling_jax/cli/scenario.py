"""One scenario made from options: law, cost, demand, target, limits and axes, read once."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax.cli import own, own_coefficients
from scaling_jax.cli.options import (
    AxesOptions,
    CostOptions,
    DemandOptions,
    LawOptions,
    LimitOptions,
    QualityOptions,
)
from scaling_jax.cli.own_files import is_own
from scaling_jax.cli.show import amount, quantity

if TYPE_CHECKING:
    from scaling_jax.costs import Bill, Demand
    from scaling_jax.fitting import Fit
    from scaling_jax.laws import Sourced
    from scaling_jax.planning import Plan

Progress = Callable[[int, int], None]

# What --law names beside --runs for no family in particular: `compare`'s mixture of all.
MIXTURE = "mixture"


@dataclasses.dataclass(frozen=True)
class Known:
    """A law with what is known of it, and the fit, where it was fitted here."""

    sourced: "Sourced"
    fitted: "Fit | None" = None

    @property
    def law(self) -> Any:
        """The bare law."""
        return self.sourced.law

    @property
    def count(self) -> int:
        """The number of resampled laws."""
        import jax  # noqa: PLC0415

        return next((len(leaf) for leaf in jax.tree.leaves(self.sourced.resampled)), 0)

    def warnings(self, params: Any, tokens: Any, axes: Mapping[str, Any]) -> list[str]:
        """Return what to beware of at a model: what the fit said, and how far it is from
        the runs behind the law.
        """
        at = {name: float(value) for name, value in axes.items()}
        beyond = self.sourced.valid.beyond(float(params), float(tokens), **at)
        outside = [] if beyond is None else [f"The model is {beyond}."]
        return list(dict.fromkeys([*self.sourced.warnings, *outside]))


@dataclasses.dataclass(frozen=True)
class Priced:
    """The cost that decides, and those that are told beside it."""

    cost: Any
    beside: tuple[Any, ...] = ()
    source: str | None = None  # the file of a cost of one's own

    @property
    def unit(self) -> str:
        """What the cost counts."""
        return getattr(self.cost, "unit", "units")

    def amount(self, value: Any) -> str:
        """Return an amount for people, with its unit."""
        return amount(self.unit, float(value))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """What was asked, as the arguments of `plan`."""

    known: Known
    priced: Priced
    demand: "Demand | None"
    query: dict[str, Any]
    axes: dict[str, float]
    choices: dict[str, Any]

    @property
    def law(self) -> Any:
        """The bare law."""
        return self.known.law

    @property
    def served(self) -> "Demand":
        """The demand; none, where none is given."""
        from scaling_jax.costs import Demand  # noqa: PLC0415

        return self.demand or Demand()

    @property
    def asked(self) -> dict[str, Any]:
        """The keywords of `plan`: target and limits, and axes where there are any."""
        further = {"axes": self.axes, "choices": self.choices}
        return self.query | {name: each for name, each in further.items() if each}

    def plan(self) -> "Plan":
        """Return the plan."""
        from scaling_jax.planning import plan  # noqa: PLC0415

        return plan(self.law, self.priced.cost, self.served, **self.asked)

    def at(self, best: "Plan") -> dict[str, Any]:
        """Return every axis of a plan, given or chosen."""
        return self.axes | dict(best.choices)

    def row(
        self, model: Any, loss: Any, bill: "Bill", axes: dict[str, Any]
    ) -> dict[str, float]:
        """Return a model under the names of the vocabulary, with what it costs."""
        from scaling_jax._axes import call_cost  # noqa: PLC0415

        row = {
            "params": model.params,
            "tokens": model.tokens,
            "tokens_per_param": model.tokens_per_param,
            "loss": loss,
        }
        bills = {
            cost.unit: call_cost(cost, model.params, model.tokens, self.served, **axes)
            for cost in self.priced.beside
        } | {self.priced.unit: bill}
        for unit, each in bills.items():
            row[f"train_{unit}"] = each.train
            if self.demand is not None:
                row |= {f"serve_{unit}": each.serve, f"total_{unit}": each.total}
        return {name: float(value) for name, value in row.items()}

    def priced_row(self, model: Any, axes: dict[str, Any]) -> dict[str, float]:
        """Return a plan, or its baseline, under the names of the vocabulary."""
        from scaling_jax.costs import Bill  # noqa: PLC0415

        bill = Bill(train=model.train_cost, serve=model.serve_cost)
        return self.row(model, model.loss, bill, axes)

    def warnings(self, best: "Plan") -> list[str]:
        """Return what to beware of in a plan."""
        return self.known.warnings(best.params, best.tokens, self.at(best))

    def wanted_loss(self) -> float | None:
        """Return the target loss, of a model to match its under this law; None of a budget."""
        if "match_params" not in self.query:
            return self.query.get("loss")
        from scaling_jax._axes import call_law  # noqa: PLC0415
        from scaling_jax.planning import compute_optimal  # noqa: PLC0415

        size, tokens = self.query["match_params"], self.query.get("match_tokens")
        if tokens is None:
            tokens = compute_optimal(self.law, params=size, axes=self.axes).tokens
        return float(call_law(self.law, size, tokens, **self.axes))

    def aim(self, loss: float) -> str:
        """Return in words what quality was asked for."""
        if "match_params" not in self.query:
            return f"reach a loss of {loss:.4f}"
        size = quantity("params", self.query["match_params"])
        tokens = self.query.get("match_tokens")
        trained = "" if tokens is None else f" trained on {quantity('tokens', tokens)} tokens"
        return (
            f"be as good as a {size} model{trained} under each law ({loss:.4f} under this one)"
        )


def known_law(
    options: LawOptions,
    *,
    resample: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Known:
    """Return the law, read or fitted; seed and progress are those of the resamples."""
    from scaling_jax import laws  # noqa: PLC0415

    name, numbers = options.law, options.coefficients
    if options.runs is not None:
        if numbers is not None:
            raise ValueError(
                f"--coefficients {numbers} and --runs are two laws; give one of them"
            )
        return _fitted(options.runs, name, options.bootstrap if resample else 0, seed, progress)
    if is_own(name):
        return Known(own_coefficients.made(name, own.law(name), numbers))
    if numbers is not None:
        raise ValueError(
            f"--coefficients {numbers} are of a law of your own: --law FILE.py:NAME"
        )
    family = own_coefficients.own_family(name)
    if family is not None:
        raise ValueError(
            f"{name} holds a law of your own; give --law {family} --coefficients {name}"
        )
    return Known(laws.load_sourced(name))


def _fitted(
    runs: Path, name: str, bootstrap: int, seed: int, progress: Progress | None
) -> Known:
    from scaling_jax.fitting import fit  # noqa: PLC0415
    from scaling_jax.runs import read_runs  # noqa: PLC0415

    options = {"bootstrap": bootstrap, "seed": seed, "progress": progress}
    if name == MIXTURE:
        from scaling_jax.comparing import compare  # noqa: PLC0415

        return Known(compare(read_runs(runs), **options).mixture)
    kind = _family(name)
    fitted = fit(read_runs(runs), kind, **options)
    return Known(fitted.sourced, fitted)


def _family(name: str) -> Any:
    """Return what --law names beside --runs: a family, or chinchilla where it names nothing."""
    from scaling_jax import laws  # noqa: PLC0415

    if name == LawOptions.law:
        return laws.Chinchilla
    if name in laws.FAMILIES or is_own(name):
        return own.family(name)
    raise ValueError(
        f"--law {name} and --runs are two laws; give one of them, or the family to fit: "
        f"{', '.join(laws.FAMILIES)}, or FILE.py:NAME"
    )


def priced(options: CostOptions) -> Priced:
    """Return the cost that is counted, with FLOPs beside dollars."""
    from scaling_jax.costs import Flops  # noqa: PLC0415

    options.check()
    if options.cost is not None:
        return Priced(own.cost(options.cost), source=options.cost)
    return Priced(options.prices(), (Flops(),)) if options.dollars else Priced(Flops())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScenarioOptions:
    """The options that make a scenario."""

    quality: QualityOptions
    demand: DemandOptions
    limit: LimitOptions
    law: LawOptions
    axes: AxesOptions
    prices: CostOptions

    def scenario(
        self, name: str, *, seed: int = 0, progress: Progress | None = None
    ) -> Scenario:
        """Return the scenario that a command, of this name, is asked for."""
        return scenario(
            name,
            law=known_law(self.law, seed=seed, progress=progress),
            prices=self.prices,
            demand=self.demand,
            axes=self.axes,
            query=self.quality.target() | self.limit.given(),
        )


def scenario(
    name: str,
    *,
    law: Known,
    prices: CostOptions,
    demand: DemandOptions,
    axes: AxesOptions,
    query: dict[str, Any],
) -> Scenario:
    """Return the scenario of a command's options, checked as far as it can be unplanned."""
    from scaling_jax._axes import check_axes  # noqa: PLC0415

    served = demand.demand()
    if served is None and name != "model":
        raise ValueError(f"{name} needs the demand: give --inference-tokens or --requests")
    fixed, chosen = axes.given()
    made = Scenario(
        known=law, priced=priced(prices), demand=served, query=query, axes=fixed, choices=chosen
    )
    check_axes(made.law, made.priced.cost, [*fixed, *chosen])
    some = {each: values[0] for each, values in chosen.items()}
    own.check_answers(made.law, made.priced.cost, made.served, fixed | some)
    return made
