"""`scaling-jax fit`: the law behind training runs."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from scaling_jax.cli import own
from scaling_jax.cli.conditions import condition
from scaling_jax.cli.options import OptionalFloat, OptionalPath, Repeated, Switch
from scaling_jax.cli.show import print_json, print_table, progress, quantity, start_jax

if TYPE_CHECKING:
    from scaling_jax import fitting
    from scaling_jax.runs import Runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Fit only runs within these limits, bounds included."""

    min_params: OptionalFloat = None
    """Smallest size."""
    max_params: OptionalFloat = None
    """Largest size."""
    min_tokens: OptionalFloat = None
    """Fewest training tokens."""
    max_tokens: OptionalFloat = None
    """Most training tokens."""
    min_tokens_per_param: OptionalFloat = None
    """Smallest ratio."""
    max_tokens_per_param: OptionalFloat = None
    """Largest ratio."""
    min_train_flops: OptionalFloat = None
    """Least training compute, 6 N D."""
    max_train_flops: OptionalFloat = None
    """Most training compute."""
    where: Repeated = ()
    """Only runs of which this holds, such as 'epochs<=4' or 'corpus=c4': of any column."""

    def select(self, runs: "Runs") -> "Runs":
        """Return the runs within the limits."""
        words = []
        chosen = runs
        for name, value in vars(self).items():
            if name != "where" and value is not None:
                chosen = chosen.select(**{name: value})
                words.append(f"{name} {value:g}")
        for text in self.where:
            chosen = chosen.where(condition("--where", text, runs).holds(chosen))
            words.append(text)
        if not len(chosen):
            raise ValueError(f"none of the {len(runs)} runs is within {' and '.join(words)}")
        return chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """The law behind training runs: coefficients, how sure they are, and what to beware of."""

    runs: Positional[Path]
    """CSV, JSON lines or Parquet with params, tokens and loss."""
    law: str = "chinchilla"
    """Family: chinchilla, tied, coupled, kaplan …, or a law of your own: FILE.py:NAME."""
    delta: float = 1e-3
    """Huber's threshold, in log loss."""
    selection: Selection
    bootstrap: int = 0
    """Refit so many resamples, for intervals and for plans under uncertainty."""
    profile: Switch = False
    """Intervals from the profile likelihood instead."""
    holdout: Annotated[str | None, arg(metavar="CONDITION", help_behavior_hint="")] = None
    """Such as 'tokens_per_param>100' or 'epochs<=4': fit each family to the other runs, and
    predict these. Of any column: >, >=, <, <=, or = and a value."""
    seed: int = 0
    """Of starts and resamples."""
    out: OptionalPath = None
    """Write the law, with its resamples, as JSON; `plan --law` reads it."""
    plot: OptionalPath = None
    """Draw predictions, curves per size, residuals and the profile of E into this file."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Fit and print."""
        start_jax()
        from scaling_jax import fitting, laws  # noqa: PLC0415
        from scaling_jax.runs import read_runs  # noqa: PLC0415

        family = own.family(self.law)
        options = {"delta": self.delta, "seed": self.seed}
        runs = self.selection.select(read_runs(self.runs))
        limits = self._limits(runs)
        with progress() as stage:
            moved = stage("finding the law")
            fitted = fitting.fit(
                runs, family, bootstrap=self.bootstrap, progress=moved, **options
            )
            profiles, table = {}, []
            if self.profile or self.plot is not None:
                stage("profiling the coefficients")
                profiles = fitting.profile(fitted)
            if limits is not None:
                stage("predicting held-out runs")
                usual = (laws.Chinchilla, laws.Tied, laws.Coupled)
                families = list(dict.fromkeys((*usual, family)))
                table = fitting.holdout(runs, families, limits=limits, **options)
        if self.out is not None:
            laws.save(fitted.sourced, self.out)
        if self.plot is not None:
            from scaling_jax import plotting  # noqa: PLC0415

            plotting.save(plotting.fit_report(fitted, profiles), self.plot)
        answer = self._answer(fitted, profiles if self.profile else {}, table)
        print_json(answer) if self.json else _print(answer)

    def _limits(self, runs: "Runs") -> dict[str, Any] | None:
        """Return the limits of what is fitted where other runs are held out."""
        if self.holdout is None:
            return None
        held = condition("--holdout", self.holdout, runs)
        if not held.holds(runs).any():
            raise ValueError(f"--holdout is {self.holdout!r}, which none of the runs is")
        return held.others(runs)

    def _answer(
        self,
        fitted: "fitting.Fit",
        profiles: dict[str, "fitting.Profile"],
        table: list["fitting.HeldOut"],
    ) -> dict[str, Any]:
        from scaling_jax.laws import coefficients  # noqa: PLC0415

        # Of intervals that are not shown nothing is said.
        beside = fitted.interval_warnings if profiles else ()
        intervals = fitted.intervals | {n: each.interval for n, each in profiles.items()}
        numbers = {name: float(x) for name, x in coefficients(fitted.law).items()}
        answer: dict[str, Any] = numbers | {
            "law": self.law,
            "coefficients": numbers,
            "objective": fitted.objective,
            "n_runs": fitted.n_runs,
            "status": fitted.status.name.lower(),
            "starts_converged": fitted.starts_converged,
            "condition_number": fitted.condition_number,
            "intervals": {name: list(bounds) for name, bounds in intervals.items()},
            "warnings": [text for text in fitted.warnings if text not in beside],
        }
        if table:
            answer["holdout"] = {
                "condition": self.holdout,
                "n_runs": len(table[0].runs),
                "families": {
                    row.family.lower(): {"bias": row.bias, "error": row.error} for row in table
                },
            }
        return answer


def _print(answer: dict[str, Any]) -> None:
    rows = []
    for name, (low, high) in answer["intervals"].items():
        value = answer["coefficients"][name]
        rows.append((name, *(quantity(name, x) for x in (value, low, high))))
    title = f"{answer['law'].rpartition(':')[2]} law of {answer['n_runs']} runs"
    print_table(title, ("", "value", "95 % from", "to"), rows)
    print(
        f"Objective {answer['objective']:.6g}, {answer['status']}; "
        f"{answer['starts_converged']:.0%} of the starts ended there."
    )
    for warning in answer["warnings"]:
        print(f"Beware: {warning}")
    if "holdout" in answer:
        held = answer["holdout"]
        rows = [
            (name, f"{row['bias']:+.2%}", f"{row['error']:.2%}")
            for name, row in held["families"].items()
        ]
        title = f"Fitted without {held['condition']}, predicting those {held['n_runs']} runs"
        print_table(title, ("family", "mean signed error", "mean error"), rows)
