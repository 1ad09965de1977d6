"""What training and serving a model cost: FLOPs and dollars.

A cost is any pure function `cost(params, tokens, demand) -> Bill`; further axes that it reads
are keyword parameters. Your own takes five lines:

    >>> from scaling_jax import Bill, Demand
    >>> def gpu_hours(params, tokens, demand):
    ...     hours = params * tokens * 6 / (989e12 * 0.4 * 3600)
    ...     serving = params * demand.tokens * 2 / (989e12 * 0.1 * 3600)
    ...     return Bill(train=hours, serve=serving)
    >>> round(gpu_hours(7e9, 2e12, Demand(output_tokens=1e12)).total)
    98304
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from scaling_jax._numerics import mean_decay
from scaling_jax._pytree import (
    Fraction,
    NonNegative,
    Number,
    OptionalNonNegative,
    Positive,
    Record,
    Share,
)
from scaling_jax.hardware import Chip, chip
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN

# Forward pass, per parameter and token (Kaplan et al. 2020, section 2.1).
SERVE_FLOPS_PER_PARAM_TOKEN = 2.0

# Means of LMSYS-Chat-1M, as used by Sardana et al. 2024 (arXiv 2401.00448, section 4).
INPUT_TOKENS_PER_REQUEST = 70.0
OUTPUT_TOKENS_PER_REQUEST = 215.0


class Demand(Record):
    """Inference over the model's life: prompt (input) and generated (output) tokens, in all.

    `requests` says in how many requests they come; a cost that looks at contexts needs it.
    Where it is not known, requests are as long as those of LMSYS-Chat-1M.

    Example:
        >>> Demand.of_requests(1e9).tokens
        285000000000.0
        >>> Demand(output_tokens=1e12, requests=2e9).output_length
        500.0
    """

    input_tokens: NonNegative = 0.0
    output_tokens: NonNegative = 0.0
    requests: OptionalNonNegative = None

    @classmethod
    def of_requests(
        cls,
        requests: Number,
        input_tokens: Number = INPUT_TOKENS_PER_REQUEST,
        output_tokens: Number = OUTPUT_TOKENS_PER_REQUEST,
    ) -> "Demand":
        """Return the demand of so many requests, given the mean tokens of one request."""
        return cls(
            input_tokens=requests * input_tokens,
            output_tokens=requests * output_tokens,
            requests=requests,
        )

    @classmethod
    def of_tokens(cls, tokens: Number) -> "Demand":
        """Return a demand of so many tokens in all, split as in LMSYS-Chat-1M (70 : 215)."""
        per_request = INPUT_TOKENS_PER_REQUEST + OUTPUT_TOKENS_PER_REQUEST
        return cls.of_requests(tokens / per_request)

    @property
    def tokens(self) -> Number:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def input_length(self) -> Number:
        """Mean input tokens of one request."""
        return self._length(self.input_tokens, INPUT_TOKENS_PER_REQUEST)

    @property
    def output_length(self) -> Number:
        """Mean output tokens of one request."""
        return self._length(self.output_tokens, OUTPUT_TOKENS_PER_REQUEST)

    def _length(self, tokens: Number, usual: float) -> Number:
        if self.requests is None:
            return usual
        if isinstance(self.requests, float | int):
            return tokens / self.requests if self.requests > 0 else usual
        some = self.requests > 0
        return jnp.where(some, tokens / jnp.where(some, self.requests, 1.0), usual)

    def scaled(self, factor: Number) -> "Demand":
        """Return a demand of so many times the requests, each as long as before."""
        return Demand(
            input_tokens=factor * self.input_tokens,
            output_tokens=factor * self.output_tokens,
            requests=None if self.requests is None else factor * self.requests,
        )


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


class Cost(Record, abc.ABC):
    """A cost of your own as a record: fields, a unit, and a bill in terms of them.

    Example:
        >>> class Electricity(Cost):
        ...     '''Joules at so many FLOPs per joule; prompts are read ten times as fast.'''
        ...     unit = "joules"
        ...     flops_per_joule: Positive
        ...     def __call__(self, params, tokens, demand):
        ...         served = demand.output_tokens + demand.input_tokens / 10
        ...         return Bill(
        ...             train=6 * params * tokens / self.flops_per_joule,
        ...             serve=2 * params * served / self.flops_per_joule)
        >>> print(f"{Electricity(flops_per_joule=5e11)(7e9, 2e12, Demand()).total:.3g} J")
        1.68e+11 J
    """

    unit: ClassVar[str] = "units"

    @abc.abstractmethod
    def __call__(self, *args: Any, **axes: Any) -> Bill:
        """cost(params, tokens, demand, **axes): the bill of N parameters trained on D tokens
        and serving the demand.
        """

    def breaks(self, *args: Any, **axes: Any) -> tuple[Number, ...]:
        """breaks(demand, **axes): the sizes (params) at which the cost jumps or bends, where
        it states them.
        """
        return ()

    def assumptions(self) -> dict[str, str]:
        """Return what the cost rests on, a name and a phrase each, for people."""
        return {}


class LinearCost(Cost):
    """A cost of the form N (train D + serve): proportional to size, linear in tokens.

    A subclass states `rates`; `plan` then has an exact solution for it.
    """

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

    def assumptions(self) -> dict[str, str]:
        return {"FLOPs": "6 per parameter and training token, 2 per parameter and token served"}


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


class Service(Record):
    """Over how many years the demand is served, and what becomes of prices meanwhile.

    A dollar of serving, spent evenly over Y years while prices fall by p and money is
    discounted by r a year, costs today

        (1 / Y) int_0^Y ((1 - p) / (1 + r))^t dt  =  (1 - e^(-q Y)) / (q Y),
        q = log(1 + r) - log(1 - p),

    dollars of today's prices; at q Y = 0 one dollar.

    Example:
        >>> print(f"{Service(years=3, price_decline=0.3, discount_rate=0.1).factor:.4f}")
        0.5474
    """

    years: NonNegative = 0.0
    price_decline: Share = 0.0
    discount_rate: NonNegative = 0.0

    @property
    def factor(self) -> Number:
        """What multiplies the serving cost at today's prices."""
        rate = jnp.log1p(self.discount_rate) - jnp.log1p(-self.price_decline)
        return mean_decay(rate * self.years)


class Dollars(LinearCost):
    """US dollars for a fleet that trains and a fleet that serves.

    6 N D C_tr / U_tr + 2 N C_inf (D_inp / U_inp + D_out / U_out) f, with C the dollars per
    peak FLOP, U the MFU and f the factor of the `Service` (1 unless it is given). Prices and
    MFUs do not depend on N.
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
    service: Service | None = None

    def rates(self, demand: Demand) -> Rates:
        train, serve = self.train, self.serve
        effort = (
            demand.input_tokens / serve.prefill_mfu + demand.output_tokens / serve.decode_mfu
        )
        return Rates(
            TRAIN_FLOPS_PER_PARAM_TOKEN * train.dollars_per_peak_flop / train.mfu,
            SERVE_FLOPS_PER_PARAM_TOKEN * serve.dollars_per_peak_flop * effort * self._factor,
        )

    @property
    def _factor(self) -> Number:
        return 1.0 if self.service is None else self.service.factor

    def assumptions(self) -> dict[str, str]:
        train, serve = self.train, self.serve
        said = {
            "training": f"{train.peak_flops / 1e12:g} TFLOP/s at ${train.dollars_per_hour:g} "
            f"an hour, MFU {train.mfu:g}",
            "serving": f"{serve.peak_flops / 1e12:g} TFLOP/s at ${serve.dollars_per_hour:g} "
            f"an hour, MFU {serve.prefill_mfu:g} on input and {serve.decode_mfu:g} on output "
            "tokens",
        }
        if self.service is not None:
            each = self.service
            said["prices over time"] = (
                f"served evenly over {each.years:g} years, prices falling by "
                f"{each.price_decline:.0%} and money discounted by {each.discount_rate:.0%} a "
                f"year: {each.factor:.3f} of today's price"
            )
        return said
