"""Serving by physics as a cost that `plan`, `grid` and `decide` take."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number, OptionalPositive, Share
from scaling_jax.costs import Bill, Cost, Demand, Service, TrainFleet
from scaling_jax.hardware import Chip, chip
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling_jax.serving.operating import best_operation
from scaling_jax.serving.records import Operation, Request
from scaling_jax.serving.replica import Formats, replica_of
from scaling_jax.serving.servers import Servers
from scaling_jax.serving.sizes import LLAMA, Proportions, convex_root
from scaling_jax.serving.work import bytes_per_weight
from scaling_jax.shapes import TransformerShape
from scaling_jax.solve import Status

# Adam: 16-bit weights and gradients, 32-bit moments and master weights.
TRAIN_BYTES_PER_PARAM = 16.0


class Served(Cost):
    """US dollars to train on a fleet, and to serve at the best operating point of each size.

    6 N D for training, at the fleet's MFU; serving costs what `operate` finds for the shape
    that a size has: utilisation is an answer, not an assumption. Infinite where no group of
    servers holds the model within the limits.

    Axes: `serve_bits` and `kv_bits` of the servers; `active_params` and `experts` of a mixture
    of experts, whose total is `params`; `samples`, answers drawn to one input.

    Example:
        >>> from scaling_jax.costs import Demand
        >>> cost = Served(train=TrainFleet.of("H100-SXM"), servers=Servers.of("H100-SXM", 8),
        ...               max_tpot=0.05)
        >>> bill = cost(8e9, 2e12, Demand.of_requests(1e10))
        >>> f"{bill.train:.3g} {bill.serve:.3g}"
        '1.08e+05 4.01e+04'
    """

    unit: ClassVar[str] = "dollars"

    train: TrainFleet
    servers: Servers
    proportions: Proportions = LLAMA
    max_tpot: OptionalPositive = None
    max_ttft: OptionalPositive = None
    cached: Share = 0.0
    service: Service | None = None

    def __call__(
        self,
        params: Number,
        tokens: Number,
        demand: Demand,
        *,
        serve_bits: Number | None = None,
        kv_bits: Number | None = None,
        active_params: Number | None = None,
        experts: Number | None = None,
        samples: Number = 1.0,
    ) -> Bill:
        """Return the bill of N parameters trained on D tokens and serving the demand."""
        mixture = {"active_params": active_params, "experts": experts}
        best = self.operation(
            params, demand, serve_bits=serve_bits, kv_bits=kv_bits, samples=samples, **mixture
        )
        possible = best.status == Status.CONVERGED
        priced = demand.input_tokens * best.dollars_per_million_input_tokens
        priced = (
            priced + demand.output_tokens * samples * best.dollars_per_million_output_tokens
        )
        none = jnp.where(jnp.asarray(demand.tokens) > 0, jnp.inf, 0.0)
        factor = 1.0 if self.service is None else self.service.factor
        active = params if active_params is None else active_params
        if active_params is None and experts is not None:
            active = self.shape(params, **mixture).active_params
        price = self.train.dollars_per_peak_flop / self.train.mfu
        return Bill(
            train=TRAIN_FLOPS_PER_PARAM_TOKEN * active * tokens * price,
            serve=jnp.where(possible, factor * priced / 1e6, none),
        )

    def shape(
        self,
        params: Number,
        *,
        active_params: Number | None = None,
        experts: Number | None = None,
    ) -> TransformerShape:
        """Return the shape that a size has."""
        return self.proportions.shape(params, active_params=active_params, experts=experts)

    def request(self, demand: Demand, *, samples: Number = 1.0) -> Request:
        """Return the mean request of a demand, with the limits of this cost."""
        return Request(
            input_tokens=jnp.maximum(demand.input_length, 1.0),
            output_tokens=jnp.maximum(demand.output_length, 1.0),
            max_tpot=self.max_tpot,
            max_ttft=self.max_ttft,
            cached=self.cached,
            samples=samples,
        )

    def operation(
        self,
        params: Number,
        demand: Demand,
        *,
        serve_bits: Number | None = None,
        kv_bits: Number | None = None,
        active_params: Number | None = None,
        experts: Number | None = None,
        samples: Number = 1.0,
    ) -> Operation:
        """Return how a size is served; NaN, with a `status`, where it cannot be."""
        shape = self.shape(params, active_params=active_params, experts=experts)
        formats = Formats(*self.servers.formats(serve_bits, kv_bits))
        request = self.request(demand, samples=samples)
        return best_operation(shape, self.servers, request, formats)

    def breaks(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        demand: Demand,
        *,
        serve_bits: Number | None = None,
        kv_bits: Number | None = None,
        active_params: Number | None = None,
        experts: Number | None = None,
        samples: Number = 1.0,
    ) -> tuple[Number, ...]:
        """Return the largest size that any group holds: beyond it the cost is infinite.

        Where one group takes over from another the cost bends, but never so that a bend is
        cheapest.
        """
        formats = Formats(*self.servers.formats(serve_bits, kv_bits))
        request = self.request(demand, samples=samples)
        group = max(self.servers.groups)
        usable = self.servers.usable_memory * group * self.servers.stages
        each = bytes_per_weight(formats.serve_bits)

        def needed(shape: TransformerShape) -> Number:
            return replica_of(shape, self.servers, request, formats, group).least_memory

        if active_params is not None:
            # Further experts take memory and nothing else.
            dense = needed(self.shape(active_params))
            return (active_params + (usable - dense) / each,)

        def log_needed(log_width: Number) -> Number:
            shape = self.proportions.of_width(jnp.exp(log_width), experts=experts)
            return jnp.log(needed(shape))

        # A model has no fewer bytes than its parameters in the format of its matrices.
        widest = self.proportions.log_widest(jnp.log(usable / each))
        width = jnp.exp(convex_root(log_needed, jnp.log(usable), widest))
        return (self.proportions.of_width(width, experts=experts).params,)

    def assumptions(self) -> dict[str, str]:
        """Return what the cost rests on, a name and a phrase each, for people."""
        train, servers = self.train, self.servers
        groups = ", ".join(f"{group}" for group in servers.groups)
        weights, cache = servers.formats()
        said = {
            "training": f"{train.peak_flops / 1e12:g} TFLOP/s at ${train.dollars_per_hour:g} "
            f"an hour, MFU {train.mfu:g}",
            "serving": f"groups of {groups} {servers.name or 'chips'} at "
            f"${servers.dollars_per_hour:g} an hour each, weights in {float(weights):g} and "
            f"cache in {float(cache):g} bits, at a mean load of {servers.utilisation:.0%}",
            "operating point": "the largest batch that memory and limits allow, on the "
            "cheapest group; steps take the sum of memory, arithmetic, communication and "
            "overheads, with efficiencies fitted to published measurements",
        }
        limits = [
            f"{name} at most {limit:g} s"
            for name, limit in (
                ("time per output token", self.max_tpot),
                ("time to the first token", self.max_ttft),
            )
            if limit is not None
        ]
        if limits:
            said["limits"] = ", ".join(limits)
        return said


class Pretraining(NamedTuple):
    """What training takes in time and memory.

    Attributes:
        days: of the whole run.
        chips: that run it.
        state_bytes: weights, gradients and Adam's state, on each chip.
        fits: whether they leave half of its memory to activations.
    """

    days: Number
    chips: Number
    state_bytes: Number
    fits: Number


def pretraining(
    params: Number,
    tokens: Number,
    fleet: TrainFleet,
    *,
    chips: Number,
    chip_name: str | Chip,
    active_params: Number | None = None,
) -> Pretraining:
    """Return the days and the memory of a training run on so many chips.

        days = 6 N D / (chips · peak · MFU) / 86,400,   state = 16 N / chips

    with N the active parameters in the first and all in the second: every weight is kept once
    over all chips (fully sharded).

    Example:
        >>> run = pretraining(70e9, 2e12, TrainFleet.of("H100-SXM"), chips=2048,
        ...                   chip_name="H100-SXM")
        >>> f"{run.days:.1f} days, {run.state_bytes / 1e9:.2f} GB"
        '9.6 days, 0.55 GB'
    """
    params, tokens, fleet, chips = as_floats(
        params=params, tokens=tokens, fleet=fleet, chips=chips
    )
    active = params if active_params is None else active_params
    flops = TRAIN_FLOPS_PER_PARAM_TOKEN * active * tokens
    state = TRAIN_BYTES_PER_PARAM * params / chips
    return Pretraining(
        days=flops / (chips * fleet.peak_flops * fleet.mfu) / 86_400,
        chips=chips,
        state_bytes=state,
        fits=state <= chip(chip_name).usable_memory / 2,
    )
