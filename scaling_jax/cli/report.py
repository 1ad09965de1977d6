"""`scaling-jax report`: a plan as one page of HTML, for readers without Python."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from scaling_jax.cli import page
from scaling_jax.cli.options import (
    DemandOptions,
    DollarOptions,
    Known,
    LawOptions,
    LimitOptions,
    QualityOptions,
)
from scaling_jax.cli.sections import Scenario
from scaling_jax.cli.show import progress, start_jax

_ASSUMPTIONS = (
    "Quality is the loss in pre-training; models of equal loss are taken as equally good.",
    "Demand does not depend on the model's size.",
    "MFU and prices do not depend on the model's size, on batch or on context.",
    "Every training token is new: there are as many as the plan asks for.",
    "Serving in fewer bits does not cost quality.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A plan as one page of HTML: its baseline, how sure it is, what moves it, and pictures.

    Example: --runs runs.csv --match-params 2.5e9 --inference-tokens 1e12 --out plan.html
    """

    out: Path
    """The page to write, such as plan.html; it needs no other file and no network."""
    quality: QualityOptions
    demand: DemandOptions
    limit: LimitOptions
    law: LawOptions
    prices: DollarOptions

    def run(self) -> None:
        """Plan, draw and write."""
        start_jax()
        from scaling_jax import planning  # noqa: PLC0415
        from scaling_jax.costs import Flops  # noqa: PLC0415

        demand = self.demand.demand()
        if demand is None:
            raise ValueError("report needs the demand: give --inference-tokens or --requests")
        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            known = self.law.known(progress=moved)
            query = self.quality.target(known.law) | vars(self.limit)
            cost = self.prices.cost() if self.prices.dollars else Flops()
            stage("planning")
            best = planning.plan(known.law, cost, demand, **query)  # pyright: ignore
            stage("drawing")
            scenario = Scenario(known, cost, demand, query, best)
            parts = [*scenario.answer(), *scenario.sureness(), *scenario.movers()]
            parts += [*scenario.others(), *self._basis(scenario)]
        self.out.write_text(page.page("Which model to train", parts), encoding="utf-8")
        print(f"Written to {self.out}.")

    def _basis(self, scenario: Scenario) -> Iterator[str]:
        """Yield the assumptions, and what to beware of."""
        from scaling_jax import __version__  # noqa: PLC0415

        best, known = scenario.best, scenario.known
        yield page.heading("What this rests on")
        yield page.table(("", ""), [*self._law_rows(known), *self._cost_rows()], "prose")
        yield page.points(_ASSUMPTIONS)
        beware = known.warnings(float(best.params), float(best.tokens))
        if known.resampled is None:
            beware.append("The law is taken as certain: it comes without resampled laws.")
        if beware:
            yield page.heading("What to beware of")
            yield page.warning(beware)
        yield f"<footer>Computed by scaling_jax {__version__}.</footer>"

    def _law_rows(self, known: Known) -> Iterator[tuple[str, str]]:
        from scaling_jax.laws import PUBLISHED  # noqa: PLC0415

        law = known.law
        numbers = ", ".join(f"{name} = {value:.4g}" for name, value in vars(law).items())
        yield f"law ({type(law).__name__})", numbers
        published = PUBLISHED.get(self.law.law.lower())
        if known.fitted is not None:
            yield "its source", f"fitted to the {known.fitted.n_runs} runs of {self.law.runs}"
        elif published is not None:
            yield "its source", f"{published.source}. {published.caveat}"
        else:
            yield "its source", f"the file {self.law.law}"

    def _cost_rows(self) -> Iterator[tuple[str, str]]:
        yield "FLOPs", "6 per parameter and training token, 2 per parameter and token served"
        if not self.prices.dollars:
            return
        cost, each = self.prices.cost(), self.prices
        yield (
            "training",
            f"{each.train_chip} ({each.train_dtype}) at ${cost.train.dollars_per_hour:g} an "
            f"hour, MFU {each.train_mfu:g}",
        )
        yield (
            "serving",
            f"{each.serve_chip} ({each.serve_dtype}) at ${cost.serve.dollars_per_hour:g} an "
            f"hour, MFU {each.prefill_mfu:g} on input and {each.decode_mfu:g} on output tokens",
        )
