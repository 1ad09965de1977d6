"""What a run will take, before it is started: FLOPs, hours, dollars."""

import math
from typing import NamedTuple

import jax

from scaling_jax import hardware
from scaling_jax.training.config import RunConfig
from scaling_jax.training.peak import matmul_peak

_CATALOGUE_DTYPES = {"bfloat16": "bf16"}


class Estimate(NamedTuple):
    """What one run will take; dollars are None where the machine has no price."""

    params: int
    tokens: int
    train_flops: float
    exact_train_flops: float
    hours: float
    dollars: float | None


class Machine(NamedTuple):
    """What a run is estimated for: FLOP/s of all devices at peak, and their price an hour."""

    peak: float
    dollars_per_hour: float | None

    @classmethod
    def of(
        cls, dtype: str, *, chip: str | None = None, chips: int = 1, price: float | None = None
    ) -> "Machine":
        """Return so many chips of the catalogue, or this process's devices when chip is None.

        A chip's name may be in upper or lower case, as everywhere.

        Raises:
            ValueError: no such chip, no such number of them, no such price, or the chip has no
                peak in that dtype or no price.
        """
        if chips < 1:
            raise ValueError(f"chips is {chips}; it must be a positive integer")
        if price is not None and not 0 <= price < math.inf:
            raise ValueError(f"price is {price:g}; it must be zero or more, and finite")
        if chip is None:
            devices = jax.device_count()
            return cls(matmul_peak(dtype) * devices, None if price is None else price * devices)
        each = hardware.chip(chip)
        peak = each.peak(_CATALOGUE_DTYPES.get(dtype, dtype))
        return cls(peak * chips, float(each.price(price)) * chips)


def estimate(config: RunConfig, machine: Machine, mfu: float) -> Estimate:
    """Return what a run takes at an assumed MFU.

    hours = exact FLOPs / (MFU · peak),  dollars = hours · price of all chips
    """
    work = config.work()
    hours = work.exact_train_flops / (mfu * machine.peak) / 3600
    price = machine.dollars_per_hour
    return Estimate(
        params=config.shape.params,
        **work._asdict(),
        hours=hours,
        dollars=None if price is None else hours * price,
    )
