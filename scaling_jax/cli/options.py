"""Options that several subcommands share: what a person may type, and nothing heavy."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

if TYPE_CHECKING:
    from scaling_jax.costs import Demand, Dollars

# An absent option is None, which the help need not say.
OptionalFloat = Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalText = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]
Switch = Annotated[bool, arg(help_behavior_hint="")]
Repeated = Annotated[tuple[str, ...], UseAppendAction, arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """What is wanted: a loss, the quality of a model, or the best that a budget buys."""

    loss: OptionalFloat = None
    """Target loss, nats per token."""
    budget: OptionalFloat = None
    """Spend this much in all (FLOPs, or the unit of the cost) instead of fixing a loss."""
    match_params: OptionalFloat = None
    """The quality of the Chinchilla-style model of this size, under each law its own."""
    match_tokens: OptionalFloat = None
    """With --match-params: the quality of that size trained on so many tokens."""

    def target(self) -> dict[str, float]:
        """Return what is asked for, under the names that `plan` has for it."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        matched = [value for name, value in given.items() if name.startswith("match")]
        if matched and self.match_params is None:
            raise ValueError("--match-tokens needs --match-params")
        if matched and (self.loss is not None or self.budget is not None):
            raise ValueError("--match-params is a target; give no --loss or --budget with it")
        if not all(0 < value < math.inf for value in matched):
            raise ValueError(
                f"--match-params and --match-tokens must be positive and finite: {matched}"
            )
        return given


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapOptions:
    """What the model has to keep to."""

    max_params: OptionalFloat = None
    """Largest size that can be served."""
    max_tokens: OptionalFloat = None
    """Most training data that there is."""

    def given(self) -> dict[str, float]:
        """Return the limits that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitOptions(CapOptions):
    """What the model has to keep to."""

    params: OptionalFloat = None
    """Fix the size; plan the tokens."""
    tokens: OptionalFloat = None
    """Fix the training tokens; plan the size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxesOptions:
    """Further properties of a model that the law or the cost reads."""

    axes: Repeated = ()
    """NAME=VALUE of what the law or the cost reads, such as unique-tokens=3e12. VALUE is a
    number; a list a,b,c of which the best is taken; or low..high, chosen in between."""

    def given(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the axes that are given, and those to choose: lists and (low, high)."""
        fixed: dict[str, float] = {}
        chosen: dict[str, Any] = {}
        for text in self.axes:
            name, equals, value = text.partition("=")
            name = name.strip().replace("-", "_")
            if not (equals and name.isidentifier()):
                raise ValueError(f"--axes is {text!r}; it must be NAME=VALUE")
            if name in fixed | chosen:
                raise ValueError(f"--axes gives {name} twice; give it once")
            read = _read_axis(text, value)
            (fixed if isinstance(read, float) else chosen)[name] = read
        return fixed, chosen


def _read_axis(text: str, value: str) -> Any:
    interval = tuple(value.split(".."))
    try:
        if len(interval) == 2:
            low, high = map(float, interval)
            if low < high and math.isfinite(low + high):
                return low, high
        elif math.isfinite(sum(values := [float(each) for each in value.split(",")])):
            return values if len(values) > 1 else values[0]
    except ValueError:
        pass
    raise ValueError(
        f"--axes is {text!r}; its value must be a number, a list such as 4,8,16, or an "
        "interval such as 1..1000, the lower end first"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LawOptions:
    """The law: published, from a file, your own, or fitted here to training runs."""

    law: str = "hoffmann2022"
    """A published law (`scaling-jax laws`), a JSON file, or your own: FILE.py:NAME. With --runs
    the family to fit, chinchilla unless one is given; mixture: those that `compare` finds."""
    coefficients: OptionalPath = None
    """Numbers of a law of your own: JSON, {"E": 1.7, "base.alpha": 0.3, …}."""
    runs: OptionalPath = None
    """Fit the law to these runs instead: CSV, JSON lines or Parquet, as `fit` reads them."""
    bootstrap: int = 1000
    """With --runs: refit so many resamples, which say how sure the law is."""


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

    def given(self) -> dict[str, float]:
        """Return what is given of the demand, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def demand(self) -> "Demand | None":
        """Return the demand, or None where none is given."""
        for name, value in self.given().items():
            if not 0 <= value < math.inf:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is {value:g}; it must be zero or more, and finite")
        return demand_of(self.given())


def demand_of(given: dict[str, Any]) -> "Demand | None":
    """Return the demand that options, or axes of a grid, give; None where they give none."""
    per_request = [name for name in ("input_tokens", "output_tokens") if name in given]
    if "inference_tokens" in given and ("requests" in given or per_request):
        raise ValueError(
            "inference-tokens and requests with its tokens are two ways to give the demand; "
            "give one of them"
        )
    from scaling_jax.costs import Demand  # noqa: PLC0415

    if "inference_tokens" in given:
        return Demand.of_tokens(given["inference_tokens"])
    if "requests" in given:
        lengths = {name: given[name] for name in per_request}
        return Demand.of_requests(given["requests"], **lengths)
    if per_request:
        name = per_request[0].replace("_", "-")
        raise ValueError(f"--{name} is per request; give --requests too")
    return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What is counted: FLOPs; dollars at prices, by default those of Sardana et al. 2024,
    section 4; or a cost of your own.
    """

    cost: OptionalText = None
    """Your own cost instead: FILE.py:NAME, a Cost record or a function that returns a Bill."""
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

    def check(self) -> None:
        """Raise ValueError for two costs, and for prices that would not count."""
        for field in dataclasses.fields(self):
            if field.name in ("cost", "dollars") or getattr(self, field.name) == field.default:
                continue
            flag = field.name.replace("_", "-")
            if self.cost is not None:
                raise ValueError(f"--cost {self.cost} has its own prices; give no --{flag}")
            if not self.dollars:
                raise ValueError(f"--{flag} does not count in FLOPs; give --dollars too")
        if self.cost is not None and self.dollars:
            raise ValueError(f"--cost {self.cost} has its own prices; give no --dollars")

    def prices(self) -> "Dollars":
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
