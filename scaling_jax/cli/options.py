"""Options that several subcommands share, and what they mean as records."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from scaling_jax.costs import Demand, Dollars
    from scaling_jax.fitting import Fit
    from scaling_jax.laws import PowerSum

# An absent option is None, which the help need not say.
OptionalFloat = Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Switch = Annotated[bool, arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What is wanted: a quality, or the best that a budget buys."""

    loss: OptionalFloat = None
    """Target loss, nats per token."""
    budget: OptionalFloat = None
    """Spend this much in all (FLOPs, or dollars with --dollars) instead of fixing a loss."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityOptions(TargetOptions):
    """What is wanted: a loss, the quality of a model, or the best that a budget buys."""

    match_params: OptionalFloat = None
    """The quality of the Chinchilla-style model of this size, under the same law."""
    match_tokens: OptionalFloat = None
    """With --match-params: the quality of that size trained on so many tokens."""

    def target(self, law: "PowerSum") -> dict[str, float | None]:
        """Return the loss and the budget to plan for; one of them is None."""
        return {"loss": self._loss(law), "budget": self.budget}

    def _loss(self, law: "PowerSum") -> float | None:
        if self.match_params is None:
            if self.match_tokens is not None:
                raise ValueError("--match-tokens needs --match-params")
            return self.loss
        if self.loss is not None or self.budget is not None:
            raise ValueError("--match-params is a target; give no --loss or --budget with it")
        matched = (self.match_params, self.match_tokens)
        if any(value is not None and not value > 0 for value in matched):
            raise ValueError(f"--match-params and --match-tokens must be positive: {matched}")
        tokens = self.match_tokens
        if tokens is None:
            tokens = law.compute_optimal(params=self.match_params).tokens
        return float(law(self.match_params, tokens))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What the model has to keep to."""

    max_params: OptionalFloat = None
    """Largest size that can be served."""
    max_tokens: OptionalFloat = None
    """Most training data that there is."""
    params: OptionalFloat = None
    """Fix the size; plan the tokens."""
    tokens: OptionalFloat = None
    """Fix the training tokens; plan the size."""


@dataclasses.dataclass(frozen=True)
class Known:
    """A law, and what is known of its uncertainty: resampled laws, stacked, and the fit."""

    law: "PowerSum"
    resampled: "PowerSum | None"
    fitted: "Fit | None" = None

    @property
    def count(self) -> int:
        """The number of resampled laws."""
        return 0 if self.resampled is None else len(next(iter(vars(self.resampled).values())))

    def warnings(self, params: float, tokens: float) -> list[str]:
        """Return what to beware of, where the law was fitted here, at a planned model."""
        if self.fitted is None:
            return []
        from scaling_jax.fitting import extrapolation  # noqa: PLC0415

        outside = extrapolation(self.fitted.runs, params, tokens).sentence
        beyond = [] if outside is None else [outside.replace("The point", "The planned model")]
        return [*self.fitted.warnings, *beyond]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LawOptions:
    """The law: published, from a file, or fitted here to training runs."""

    law: str = "hoffmann2022"
    """A published law (`scaling-jax laws`), taken as certain, or a JSON file."""
    runs: OptionalPath = None
    """Fit the law to these runs instead: CSV, JSON lines or Parquet, as `fit` reads them."""
    bootstrap: int = 1000
    """With --runs: refit so many resamples, which say how sure the law is."""

    def known(self, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Known:
        """Return the law, read or fitted; seed and progress are those of the resamples."""
        from scaling_jax import laws  # noqa: PLC0415

        if self.runs is None:
            read = laws.load_sourced(self.law)
            return Known(read.law, read.resampled)
        if self.law != LawOptions.law:
            raise ValueError(f"--law {self.law} and --runs are two laws; give one of them")
        from scaling_jax.fitting import fit  # noqa: PLC0415
        from scaling_jax.runs import read_runs  # noqa: PLC0415

        options = {"bootstrap": self.bootstrap, "seed": seed, "progress": progress}
        fitted = fit(read_runs(self.runs), **options)
        return Known(fitted.law, fitted.laws, fitted)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemandOptions:
    """Inference demand over the model's life: tokens in all, or requests."""

    inference_tokens: OptionalFloat = None
    """Inference tokens in all, split into input and output as 70 : 215 (LMSYS averages)."""
    requests: OptionalFloat = None
    """Number of requests, each of --input-tokens and --output-tokens."""
    input_tokens: OptionalFloat = None
    """Input tokens of one request (default 70)."""
    output_tokens: OptionalFloat = None
    """Output tokens of one request (default 215)."""

    def demand(self) -> "Demand | None":
        """Return the demand, or None where none is given."""
        from scaling_jax.costs import Demand  # noqa: PLC0415

        for name, value in vars(self).items():
            if value is not None and not 0 <= value < float("inf"):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is {value:g}; it must be zero or more, and finite")
        per_request = {
            name: value
            for name in ("input_tokens", "output_tokens")
            if (value := getattr(self, name)) is not None
        }
        if self.inference_tokens is not None:
            if self.requests is not None or per_request:
                raise ValueError(
                    "--inference-tokens and --requests with its tokens are two ways to give "
                    "the demand; give one of them"
                )
            return Demand.of_tokens(self.inference_tokens)
        if self.requests is not None:
            return Demand.of_requests(self.requests, **per_request)
        if per_request:
            name = next(iter(per_request)).replace("_", "-")
            raise ValueError(f"--{name} is per request; give --requests too")
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DollarOptions:
    """Prices: the defaults are the setting of Sardana et al. 2024, section 4."""

    dollars: Switch = False
    """Count dollars instead of FLOPs."""
    train_chip: str = "A100-80GB"
    """Accelerator that trains; `scaling-jax chips` lists them."""
    train_dtype: str = "bf16"
    """Its number format."""
    train_price: OptionalFloat = None
    """Its $ per hour (default: the catalogue's)."""
    train_mfu: float = 0.5
    """Its model FLOPs utilisation, in (0, 1]."""
    serve_chip: str = "A100-40GB"
    """Accelerator that serves."""
    serve_dtype: str = "int8"
    """Its number format."""
    serve_price: OptionalFloat = None
    """Its $ per hour (default: the catalogue's)."""
    prefill_mfu: float = 0.5
    """Its utilisation on input tokens."""
    decode_mfu: float = 0.01
    """Its utilisation on output tokens."""

    def cost(self) -> "Dollars":
        """Return the cost in dollars."""
        from scaling_jax.costs import Dollars, ServeFleet, TrainFleet  # noqa: PLC0415

        return Dollars(
            train=TrainFleet.of(
                self.train_chip,
                self.train_dtype,
                dollars_per_hour=self.train_price,
                mfu=self.train_mfu,
            ),
            serve=ServeFleet.of(
                self.serve_chip,
                self.serve_dtype,
                dollars_per_hour=self.serve_price,
                prefill_mfu=self.prefill_mfu,
                decode_mfu=self.decode_mfu,
            ),
        )
