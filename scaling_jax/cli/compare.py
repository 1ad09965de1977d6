"""`scaling-jax compare`: which family the runs follow, and what if none does."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from scaling_jax.cli import own
from scaling_jax.cli.fit import Selection
from scaling_jax.cli.options import OptionalPath, OptionalText, Switch
from scaling_jax.cli.show import print_json, print_table, progress, start_jax

if TYPE_CHECKING:
    from scaling_jax.comparing import Comparison
    from scaling_jax.comparing.predicting import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare:
    """Families side by side: which the runs follow, which predicts, and a mixture of them.

    Example: runs.csv --toward params --bootstrap 1000 --out mixture.json
    """

    runs: Positional[Path]
    """CSV, JSON lines or Parquet with params, tokens and loss."""
    toward: Annotated[str, arg(metavar="DIRECTION")] = "tokens_per_param"
    """Where answers will be asked for: tokens_per_param, params, train_flops, corner, or a
    planned point PARAMS,TOKENS. Runs are held out in this direction."""
    families: OptionalText = None
    """Families, such as chinchilla,coupled, or of your own, FILE.py:NAME; otherwise all."""
    selection: Selection
    delta: float = 1e-3
    """Huber's threshold, in log loss."""
    predict: OptionalPath = None
    """Predict these other runs as well."""
    bootstrap: int = 0
    """So many resampled laws of the mixture, for intervals and for plans under uncertainty."""
    seed: int = 0
    """Of starts and resamples."""
    out: OptionalPath = None
    """Write the mixture, with its resamples, as JSON; `plan --law` reads it."""
    plot: OptionalPath = None
    """Draw the families' held-out errors into this file."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Compare and print."""
        start_jax()
        from scaling_jax import laws  # noqa: PLC0415
        from scaling_jax.comparing import compare, predict  # noqa: PLC0415
        from scaling_jax.runs import read_runs  # noqa: PLC0415

        named = None if self.families is None else self.families.split(",")
        families = None if named is None else [own.family(name.strip()) for name in named]
        toward: Any = _toward(self.toward)
        runs = self.selection.select(read_runs(self.runs))
        others = None if self.predict is None else read_runs(self.predict)
        with progress() as stage:
            found = compare(
                runs,
                families,
                toward=toward,
                bootstrap=self.bootstrap,
                delta=self.delta,
                seed=self.seed,
                progress=stage("fitting the families"),
            )
            predicted = {}
            if others is not None:
                stage("predicting the other runs")
                predicted = predict(found, others, seed=self.seed)
        if self.out is not None:
            laws.save(found.mixture, self.out)
        if self.plot is not None:
            from scaling_jax import plotting  # noqa: PLC0415

            plotting.save(plotting.comparison(found), self.plot)
        answer = _answer(found, predicted)
        print_json(answer) if self.json else _print(found, answer)


def _toward(text: str) -> Any:
    """Return a direction, or the point that PARAMS,TOKENS are."""
    if "," not in text:
        return text.replace("-", "_")
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError:
        raise ValueError(
            f"--toward is {text!r}; a point is PARAMS,TOKENS, such as 7e9,2e12"
        ) from None


def _answer(found: "Comparison", predicted: "dict[str, Prediction]") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "summary": found.summary,
        "toward": found.toward,
        "n_runs": found.members[0].fitted.n_runs,
        "origins": len(found.below),
        "families": {
            each.name: {
                "objective": each.fitted.objective,
                "lack_of_fit": each.misfit.p_value,
                "holdout_error": each.holdout_error,
                "holdout_bias": each.holdout_bias,
                "weight": each.weight,
            }
            for each in found.members
        },
        "mixture": {"weights": found.weights},
        "rejected": list(found.rejected),
        "aside": dict(found.aside),
        "warnings": list(found.warnings),
    }
    if predicted:
        answer["prediction"] = {
            name: {"mean_error": each.mean_error, "bias": each.bias, "coverage": each.coverage}
            for name, each in predicted.items()
        }
    return answer


def _print(found: "Comparison", answer: dict[str, Any]) -> None:
    rows = [
        (
            name,
            f"{row['objective']:.4g}",
            "" if row["lack_of_fit"] != row["lack_of_fit"] else f"{row['lack_of_fit']:.2g}",
            f"{row['holdout_error']:.2%}",
            f"{row['holdout_bias']:+.2%}",
            f"{row['weight']:.1%}" if row["weight"] else "",
        )
        for name, row in answer["families"].items()
    ]
    columns = ("family", "objective", "lack of fit, p", "held-out error", "bias", "weight")
    print_table(f"Families of {answer['n_runs']} runs", columns, rows)
    print(found.summary)
    for name, sentence in found.aside.items():
        print(f"Set aside: {name}: {sentence}.")
    for warning in found.warnings:
        print(f"Beware: {warning}")
    if "prediction" in answer:
        rows = [
            (
                name,
                f"{row['mean_error']:.2%}",
                f"{row['bias']:+.2%}",
                "" if row["coverage"] is None else f"{row['coverage']:.0%}",
            )
            for name, row in answer["prediction"].items()
        ]
        columns = ("family", "mean error", "mean signed error", "in their 95 % intervals")
        print_table("Predicting the other runs", columns, rows)
