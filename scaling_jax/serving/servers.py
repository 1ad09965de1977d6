"""Chips that serve: peaks, memory, links, price, and how far they are reached."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from scaling_jax._pytree import Fraction, NonNegative, Number, Positive, Record
from scaling_jax.hardware import Chip, chip
from scaling_jax.serving.efficiency import Efficiency
from scaling_jax.serving.fitted import efficiency_of

_STATIC: Any = {"static": True}
OVERLAPS = ("sum", "max", "attention")
_BITS = {"bf16": 16, "fp8": 8, "int8": 8, "fp4": 4}
GROUPS = (1, 2, 4, 8)


class Draft(Record):
    """Speculative decoding: a small model guesses, the large one verifies in one step.

    With chance `acceptance` for each of `length` guesses in a row, a step yields
    (1 - a^(length + 1)) / (1 - a) tokens, its own one among them, and takes
    1 + length · `cost` times as long, `cost` being a step of the draft in steps of the model.
    Source: Leviathan et al. (arXiv 2211.17192).
    """

    acceptance: Fraction = 0.8
    length: Positive = 4.0
    cost: NonNegative = 0.05

    @property
    def tokens(self) -> Number:
        """Tokens that one step yields."""
        sure = jnp.asarray(self.acceptance) == 1
        a = jnp.where(sure, 0.5, self.acceptance)
        return jnp.where(sure, self.length + 1, (1 - a ** (self.length + 1)) / (1 - a))


class Servers(Record):
    """One kind of chip, in groups, and how a model is served on it.

    Attributes:
        peaks: dense FLOP/s of each format of `peak_bits`.
        bandwidth: bytes/s of memory.
        chip_memory: bytes of memory, as the driver shows them.
        link: bytes/s one way and per chip within `linked` chips; `network` beyond.
        dollars_per_hour: of one chip.
        watts: of one chip at full power; NaN where no source states it.
        power: of that, which serving draws. The chip alone, no host and no cooling.
        utilisation: mean load over the load that the fleet is sized for.
        serve_bits, kv_bits: the formats, where a call does not give them; kv None: as weights,
            but at least 8.
        efficiency: how far the peaks are reached.
        draft: speculative decoding, or None.
        chunk: the most prompt tokens that a step reads.
        stages: pipeline stages; a replica has so many groups.
        groups: sizes of a tensor-parallel group to choose from.
        separate: prompts are read by groups of their own, and caches handed over.
        kv_by_batch: each chip caches sequences of its own (data-parallel attention).
        overlap: `sum`, `max` or `attention`: see `Step`.
    """

    peaks: tuple[Positive, ...]
    bandwidth: Positive
    chip_memory: Positive
    link: Positive
    network: Positive
    dollars_per_hour: Positive
    watts: Number
    linked: Positive = 8.0
    power: Fraction = 0.75
    utilisation: Fraction = 1.0
    serve_bits: Positive = 16.0
    kv_bits: Positive | None = None
    efficiency: Efficiency = Efficiency()
    draft: Draft | None = None
    chunk: Positive = 8192.0
    stages: int = dataclasses.field(default=1, metadata=_STATIC)
    peak_bits: tuple[int, ...] = dataclasses.field(default=(16,), metadata=_STATIC)
    groups: tuple[int, ...] = dataclasses.field(default=GROUPS, metadata=_STATIC)
    separate: bool = dataclasses.field(default=False, metadata=_STATIC)
    kv_by_batch: bool = dataclasses.field(default=False, metadata=_STATIC)
    overlap: str = dataclasses.field(default="sum", metadata=_STATIC)
    name: str = dataclasses.field(default="", metadata=_STATIC)

    @classmethod
    def of(
        cls,
        chip_name: str | Chip,
        serve_bits: Number = 16,
        *,
        dollars_per_hour: Number | None = None,
        efficiency: Efficiency | None = None,
        **others: Any,
    ) -> "Servers":
        """Return servers of catalogued chips, at the list price unless one is given.

        Args:
            chip_name: as in `hardware.CHIPS`.
            serve_bits: of the weights.
            dollars_per_hour: of one chip.
            efficiency: None takes what was fitted to measurements of this chip.
            **others: further fields.

        Raises:
            ValueError: no such chip, price or link is known, or a field is wrong.

        Example:
            >>> Servers.of("H100-SXM", 8, kv_bits=8).peaks
            (989000000000000.0, 1979000000000000.0)
        """
        each = chip(chip_name)
        if each.link is None or each.network is None:
            raise ValueError(
                f"the catalogue has no links of {each.name}; give a Chip with them"
            )
        peaks: dict[int, float] = {}
        for dtype, peak in each.peaks.items():
            peaks[_BITS[dtype]] = max(peak, peaks.get(_BITS[dtype], 0.0))
        servers = cls(
            peaks=tuple(peaks.values()),
            peak_bits=tuple(peaks),
            bandwidth=each.bandwidth,
            chip_memory=each.usable_memory,
            link=each.link,
            linked=float(each.linked),
            network=each.network,
            watts=float("nan") if each.watts is None else each.watts,
            dollars_per_hour=each.price(dollars_per_hour),
            serve_bits=serve_bits,
            efficiency=efficiency_of(each.name) if efficiency is None else efficiency,
            name=each.name,
            **others,
        )
        return servers.check()

    def check(self) -> "Servers":
        """Return the servers if their lists make sense.

        Raises:
            ValueError: a group is no positive integer, or the overlap is none that there is.
        """
        for group in self.groups:
            if not isinstance(group, int) or group < 1:
                raise ValueError(f"groups has {group!r}; it must hold positive integers")
        if not self.groups:
            raise ValueError("groups is empty; give at least one size of a group")
        if self.overlap not in OVERLAPS:
            raise ValueError(f"overlap is {self.overlap!r}; it must be {' or '.join(OVERLAPS)}")
        return self

    @property
    def usable_memory(self) -> Number:
        """Bytes of one chip for weights and cache."""
        return self.efficiency.memory * self.chip_memory - self.efficiency.chip_bytes

    def peak(self, bits: Number) -> Number:
        """Return the peak FLOP/s for weights of so many bits: NaN where the chip has none.

        Arithmetic takes the smallest format that holds the weights: 4-bit weights on a chip
        whose smallest format has 8 are computed in 8.
        """
        found: Number = jnp.nan
        for size, peak in sorted(zip(self.peak_bits, self.peaks, strict=True), reverse=True):
            found = jnp.where(jnp.asarray(bits) <= size, peak, found)
        return found

    def sustained(self, bits: Number) -> Number:
        """Return the peak times what its format reaches of it."""
        own, least = self.efficiency, min(self.peak_bits)
        format_bits = jnp.asarray(bits)
        narrow = own.four_bit if least <= 4 else own.eight_bit
        share = jnp.where(format_bits <= 8, own.eight_bit, 1.0)
        share = jnp.where(format_bits <= 4, narrow, share)
        if least > 8:
            share = jnp.where(format_bits <= 8, 1.0, share)
        return self.peak(bits) * share

    def formats(
        self, serve_bits: Number | None = None, kv_bits: Number | None = None
    ) -> tuple[Number, Number]:
        """Return the bits of weights and cache, given those that a call asks for."""
        weights = self.serve_bits if serve_bits is None else serve_bits
        cache = self.kv_bits if kv_bits is None else kv_bits
        return weights, jnp.maximum(weights, 8.0) if cache is None else cache
