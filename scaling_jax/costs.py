"""What training and serving a model cost: FLOPs and dollars.

A cost is any pure function `cost(params, tokens, demand) -> Bill`. Your own takes five lines:

    >>> from scaling_jax import Bill, Demand
    >>> def gpu_hours(params, tokens, demand):
    ...     hours = params * tokens * 6 / (989e12 * 0.4 * 3600)
    ...     serving = params * demand.tokens * 2 / (989e12 * 0.1 * 3600)
    ...     return Bill(train=hours, serve=serving)
    >>> round(gpu_hours(7e9, 2e12, Demand(output_tokens=1e12)).total)
    98304
"""

import abc
from typing import ClassVar, NamedTuple

from scaling_jax._pytree import Fraction, NonNegative, Number, Positive, Record
from scaling_jax.hardware import Chip, chip
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN

# Forward pass, per parameter and token (Kaplan et al. 2020, section 2.1).
SERVE_FLOPS_PER_PARAM_TOKEN = 2.0

# Means of LMSYS-Chat-1M, as used by Sardana et al. 2024 (arXiv 2401.00448, section 4).
INPUT_TOKENS_PER_REQUEST = 70.0
OUTPUT_TOKENS_PER_REQUEST = 215.0


class Demand(Record):
    """Inference tokens over the model's life, prompt (input) and generated (output) apart.

    Example:
        >>> Demand.of_requests(1e9).tokens
        285000000000.0
    """

    input_tokens: NonNegative = 0.0
    output_tokens: NonNegative = 0.0

    @classmethod
    def of_requests(
        cls,
        requests: Number,
        input_tokens: Number = INPUT_TOKENS_PER_REQUEST,
        output_tokens: Number = OUTPUT_TOKENS_PER_REQUEST,
    ) -> "Demand":
        """Return the demand of so many requests, given the mean tokens of one request."""
        return cls(input_tokens=requests * input_tokens, output_tokens=requests * output_tokens)

    @classmethod
    def of_tokens(cls, tokens: Number) -> "Demand":
        """Return a demand of so many tokens in all, split as in LMSYS-Chat-1M (70 : 215)."""
        per_request = INPUT_TOKENS_PER_REQUEST + OUTPUT_TOKENS_PER_REQUEST
        return cls.of_requests(tokens / per_request)

    @property
    def tokens(self) -> Number:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens


class Bill(Record):
    """What a model costs over its life, in one unit."""

    train: Number
    serve: Number

    @property
    def total(self) -> Number:
        """Training plus serving."""
        return self.train + self.serve


class Rates(NamedTuple):
    """The coefficients of a `LinearCost`: N (train D + serve)."""

    train: Number
    serve: Number


class LinearCost(Record, abc.ABC):
    """A cost of the form N (train D + serve): proportional to size, linear in tokens.

    A subclass states `rates`; `plan` then has an exact solution for it.
    """

    unit: ClassVar[str] = "units"

    @abc.abstractmethod
    def rates(self, demand: Demand) -> Rates:
        """Return the cost per parameter and training token, and per parameter served."""

    def __call__(self, params: Number, tokens: Number, demand: Demand) -> Bill:
        """Return the bill of N parameters trained on D tokens and serving the demand."""
        rates = self.rates(demand)
        return Bill(train=params * tokens * rates.train, serve=params * rates.serve)


class Flops(LinearCost):
    """Floating-point operations: 6 N D to train, 2 N for each inference token.

    Source: Sardana et al. 2024 (arXiv 2401.00448), equation 2.

    Example:
        >>> Flops()(7e9, 1e12, Demand(output_tokens=1e12)).total
        5.6e+22
    """

    unit: ClassVar[str] = "flops"

    def rates(self, demand: Demand) -> Rates:
        return Rates(TRAIN_FLOPS_PER_PARAM_TOKEN, SERVE_FLOPS_PER_PARAM_TOKEN * demand.tokens)


class Fleet(Record):
    """Accelerators of one kind: dense peak FLOP/s, and $ per hour, of each."""

    peak_flops: Positive
    dollars_per_hour: Positive

    @property
    def dollars_per_peak_flop(self) -> Number:
        """$ per hour / (3600 peak FLOP/s)."""
        return self.dollars_per_hour / (3600 * self.peak_flops)


class TrainFleet(Fleet):
    """The accelerators that train, and the MFU that they reach."""

    mfu: Fraction = 0.5

    @classmethod
    def of(
        cls,
        chip_name: str | Chip,
        dtype: str = "bf16",
        *,
        dollars_per_hour: Number | None = None,
        mfu: Number = 0.5,
    ) -> "TrainFleet":
        """Return a fleet of catalogued chips, at the list price unless one is given."""
        each = chip(chip_name)
        price = each.price(dollars_per_hour)
        return cls(peak_flops=each.peak(dtype), dollars_per_hour=price, mfu=mfu)


class ServeFleet(Fleet):
    """The accelerators that serve: MFU in prefill (input) and decode (output) apart."""

    prefill_mfu: Fraction = 0.5
    decode_mfu: Fraction = 0.01

    @classmethod
    def of(
        cls,
        chip_name: str | Chip,
        dtype: str = "int8",
        *,
        dollars_per_hour: Number | None = None,
        prefill_mfu: Number = 0.5,
        decode_mfu: Number = 0.01,
    ) -> "ServeFleet":
        """Return a fleet of catalogued chips, at the list price unless one is given."""
        each = chip(chip_name)
        return cls(
            peak_flops=each.peak(dtype),
            dollars_per_hour=each.price(dollars_per_hour),
            prefill_mfu=prefill_mfu,
            decode_mfu=decode_mfu,
        )


class Dollars(LinearCost):
    """US dollars for a fleet that trains and a fleet that serves.

    6 N D C_tr / U_tr + 2 N C_inf (D_inp / U_inp + D_out / U_out), with C the dollars per
    peak FLOP and U the MFU. Prices and MFUs do not depend on N.
    Source: Sardana et al. 2024 (arXiv 2401.00448), equations 5 and 6.

    Example:
        >>> cost = Dollars(train=TrainFleet.of("H100-SXM", dollars_per_hour=2.0),
        ...                serve=ServeFleet.of("H100-SXM", "fp8", dollars_per_hour=2.0))
        >>> round(cost(70e9, 1e13, Demand()).train)
        4718571
    """

    unit: ClassVar[str] = "dollars"

    train: TrainFleet
    serve: ServeFleet

    def rates(self, demand: Demand) -> Rates:
        train, serve = self.train, self.serve
        effort = (
            demand.input_tokens / serve.prefill_mfu + demand.output_tokens / serve.decode_mfu
        )
        return Rates(
            TRAIN_FLOPS_PER_PARAM_TOKEN * train.dollars_per_peak_flop / train.mfu,
            SERVE_FLOPS_PER_PARAM_TOKEN * serve.dollars_per_peak_flop * effort,
        )
