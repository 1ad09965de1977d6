"""Options that several subcommands share, and what they mean as records."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from scaling_jax.costs import Demand, Dollars

# An absent option is None, which the help need not say.
OptionalFloat = Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Switch = Annotated[bool, arg(help_behavior_hint="")]


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
