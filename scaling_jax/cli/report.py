"""`scaling-jax report`: a plan as one page of HTML, for readers without Python."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from scaling_jax.cli import page, sections
from scaling_jax.cli.scenario import Scenario, ScenarioOptions
from scaling_jax.cli.show import progress, start_jax


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(ScenarioOptions):
    """A plan as one page of HTML: its baseline, how sure it is, what moves it, and pictures.

    Example: --runs runs.csv --match-params 2.5e9 --inference-tokens 1e12 --out plan.html
    """

    out: Path
    """The page to write, such as plan.html; it needs no other file and no network."""

    def run(self) -> None:
        """Plan, draw and write."""
        start_jax()
        from scaling_jax._files import write_whole  # noqa: PLC0415

        with progress() as stage:
            moved = stage("finding the law" if self.law.runs else "reading the law")
            asked = self.scenario("report", progress=moved)
            stage("planning")
            best = asked.plan()
            stage("drawing")
            parts = [
                *sections.answer(asked, best),
                *sections.sureness(asked),
                *sections.movers(asked),
                *sections.others(asked, best),
                *self._basis(asked, sections.warnings(asked, best)),
            ]
        write_whole(self.out, page.page("Which model to train", parts))
        print(f"Written to {self.out}.")

    def _basis(self, asked: Scenario, beware: list[str]) -> Iterator[str]:
        """Yield the assumptions, and what to beware of."""
        from scaling_jax import __version__  # noqa: PLC0415

        yield page.heading("What this rests on")
        yield page.table(("", ""), [*self._law_rows(asked), *self._cost_rows(asked)], "prose")
        yield page.points(sections.assumptions(asked))
        if beware:
            yield page.heading("What to beware of")
            yield page.warning(beware)
        yield f"<footer>Computed by scaling_jax {__version__}.</footer>"

    def _law_rows(self, asked: Scenario) -> Iterator[tuple[str, str]]:
        from scaling_jax.laws import Mixture, coefficients  # noqa: PLC0415

        sourced, given = asked.known.sourced, self.law
        numbers = coefficients(sourced.law).items()
        name = getattr(sourced.law, "__name__", type(sourced.law).__name__)
        if isinstance(sourced.law, Mixture):  # whose coefficients would fill the page
            pairs = zip(sourced.law.laws, sourced.law.weights, strict=True)
            said = ", ".join(f"{type(each).__name__} {float(w):.0%}" for each, w in pairs)
        else:
            said = ", ".join(f"{key} = {float(x):.4g}" for key, x in numbers)
        yield f"law ({name})", said
        fitted = asked.known.fitted
        if fitted is not None:
            yield "its source", f"fitted to the {fitted.n_runs} runs of {given.runs}"
        else:
            file = f"the file {given.law}"
            said = ". ".join(filter(None, (sourced.source or file, sourced.caveat)))
            yield "its source", said if sourced.source else f"{said}"

    def _cost_rows(self, asked: Scenario) -> Iterator[tuple[str, str]]:
        """Yield what the costs say of themselves, the names of chips where they have some."""
        from scaling_jax.cli.prose import of_cost  # noqa: PLC0415

        prices = self.prices
        chips = {
            "training": f"{prices.train_chip} ({prices.train_dtype}): ",
            "serving": f"{prices.serve_chip} ({prices.serve_dtype}): ",
        }
        for cost in (*asked.priced.beside, asked.priced.cost):
            for name, words in of_cost(cost, asked.priced.source).items():
                yield name, (chips.get(name, "") if prices.dollars else "") + words
