"""US dollars: fleets of chips that train and serve, and prices over time."""

from typing import ClassVar

import jax.numpy as jnp

from scaling_jax._numerics import mean_decay
from scaling_jax._pytree import Fraction, NonNegative, Number, Positive, Record, Share
from scaling_jax.costs.demand import Demand
from scaling_jax.costs.records import SERVE_FLOPS_PER_PARAM_TOKEN, LinearCost, Rates
from scaling_jax.hardware import Chip, chip
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN


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
