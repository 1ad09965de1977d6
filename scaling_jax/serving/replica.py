"""One replica of a model on one group of chips: its steps, its limits, its prices."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.serving.records import Bound, Operation, Request
from scaling_jax.serving.roofline import Step, step_of
from scaling_jax.serving.servers import Servers
from scaling_jax.serving.work import Load, Work, kv_memory, weight_memory, work_of
from scaling_jax.shapes import TransformerShape
from scaling_jax.solve import Status

# What handing a message from one group to the next costs, whatever its size
# (ai-dynamo/aiconfigurator's p2p latency).
_HOP = 10e-6


class Formats(NamedTuple):
    """The bits of weights and of the cache."""

    serve_bits: Number
    kv_bits: Number


class Limits(NamedTuple):
    """The largest batches of one stage that memory, engine and patience allow."""

    room: Number
    engine: Number
    tpot: Number
    ttft: Number

    @property
    def batch(self) -> Number:
        """The least of them."""
        return jnp.minimum(
            jnp.minimum(self.room, self.engine), jnp.minimum(self.tpot, self.ttft)
        )

    @property
    def bound(self) -> Number:
        """The `Bound` that is the least, or -1 for the engine's own."""
        bound = jnp.where(self.room <= self.batch, Bound.MEMORY.value, -1)
        bound = jnp.where(self.tpot <= self.batch, Bound.TPOT.value, bound)
        return jnp.where(self.ttft <= self.batch, Bound.TTFT.value, bound)


class Replica(NamedTuple):
    """A model on one group (or as many as there are stages), serving one kind of request.

    Attributes:
        chips: of all stages; `group` of one.
        work, step: of a decode step, with the prompt tokens that ride on it.
        yields: tokens that a sequence gets from a step; `stretch`: how much longer it takes
            with a draft.
    """

    servers: Servers
    request: Request
    formats: Formats
    shape: TransformerShape
    group: Number
    yields: Number
    stretch: Number
    work: Any = None
    step: Any = None

    @property
    def chips(self) -> Number:
        return self.group * self.servers.stages

    @property
    def decoding(self) -> Step:
        """The step without prompt tokens, which reach no experts either."""
        share = self.work.tokens / (self.work.tokens + self.work.read)
        none = 0.0 * self.step.prefill
        return dataclasses.replace(
            self.step, prefill=none, prefill_traffic=none, idle=self.step.idle * share
        )

    @property
    def prompt_work(self) -> Work:
        """The work of reading one prompt and nothing else."""
        return self.work_of(
            Load(
                tokens=0.0,
                prefill=self.request.new_tokens,
                prompt=self.request.input_tokens,
                cached=self.request.cached,
            )
        )

    @property
    def prompt(self) -> Step:
        """The step of reading prompts and nothing else."""
        return self.step_of(self.prompt_work)

    def work_of(self, load: Load) -> Work:
        """Return the work of a step of this model on this group."""
        return work_of(
            self.shape,
            load,
            chips=self.group,
            serve_bits=self.formats.serve_bits,
            kv_bits=self.formats.kv_bits,
            kv_by_batch=self.servers.kv_by_batch,
        )

    def step_of(self, work: Work) -> Step:
        """Return the seconds of some work on this group, through all stages."""
        bits = self.formats.serve_bits
        step = step_of(work, self.servers, chips=self.group, serve_bits=bits)
        return _handed_on(step, work, self.servers)

    @property
    def outputs(self) -> Number:
        """Output tokens of one request, all samples together."""
        return self.request.output_tokens * self.request.samples

    def tpot(self, batch: Number) -> Number:
        """Return the seconds per output token at a batch of each stage."""
        return self.stretch * self.step.seconds(batch) / self.yields

    @property
    def chunks(self) -> Number:
        """Steps over which a prompt is read."""
        return jnp.maximum(self.request.new_tokens / self.servers.chunk, 1.0)

    @property
    def reading(self) -> Number:
        """Seconds that reading one prompt adds to the steps that it rides on, or hand-over."""
        if self.servers.separate:
            sent = self.servers.network * self.group
            return self.kv_bytes(self.request.input_tokens) / sent + _HOP
        return self.prompt.prefill_seconds(1.0)

    def ttft(self, batch: Number) -> Number:
        """Return the seconds to the first token: of decode steps beside, or of prompts read
        together in a group of their own.
        """
        if self.servers.separate:
            return self.prompt.seconds(self.prompts) + self.reading + 0 * batch
        return self.chunks * self.decoding.seconds(batch) + self.reading

    @property
    def prompts(self) -> Number:
        """Prompts that a separate group reads together: as many as fill a chunk in time."""
        full = jnp.maximum(self.servers.chunk / self.request.new_tokens, 1.0)
        if self.request.max_ttft is None:
            return full
        in_time = self.prompt.largest(self.request.max_ttft - self.reading)
        return jnp.clip(in_time, 1.0, full)

    def kv_bytes(self, length: Number) -> Number:
        """Return the bytes of one sequence's cache, all copies."""
        return kv_memory(
            self.shape,
            length,
            chips=self.group,
            kv_bits=self.formats.kv_bits,
            kv_by_batch=self.servers.kv_by_batch,
        )

    @property
    def weight_bytes(self) -> Number:
        """Bytes of the weights."""
        return weight_memory(self.shape, self.formats.serve_bits)

    @property
    def sequence_bytes(self) -> Number:
        """Bytes of cache that are set aside for one sequence, gaps between them included."""
        own, request = self.servers.efficiency, self.request
        length = request.input_tokens + own.reserved * request.output_tokens
        return self.kv_bytes(length) / own.cache_fill

    @property
    def least_memory(self) -> Number:
        """Bytes of the weights, and of the cache of one sequence for each stage."""
        return self.weight_bytes + self.servers.stages * self.sequence_bytes

    def limits(self) -> Limits:
        """Return the largest batches of one stage."""
        own, request = self.servers.efficiency, self.request
        free = self.chips * self.servers.usable_memory - self.weight_bytes
        room = free / self.sequence_bytes / self.servers.stages
        never = jnp.full_like(room, jnp.inf)
        tpot = ttft = never
        if request.max_tpot is not None:
            seconds = request.max_tpot * self.yields / self.stretch
            tpot = self.step.largest(seconds)
        if request.max_ttft is not None:
            ttft = self._in_time(request.max_ttft, never)
        return Limits(room, never.clip(max=own.max_batch), tpot, ttft)

    def _in_time(self, seconds: Number, never: Number) -> Number:
        if self.servers.separate:
            return jnp.where(self.ttft(1.0) <= seconds, never, 0.0)
        return self.decoding.largest((seconds - self.reading) / self.chunks)

    def takes_most(self, batch: Number) -> Number:
        """Return the `Bound` of the largest part of a step's time."""
        parts = [self.step.memory(batch), self.step.arithmetic(batch), self.step.rest(batch)]
        most = jnp.where(parts[1] > parts[0], Bound.ARITHMETIC.value, Bound.BANDWIDTH.value)
        rest = parts[2] > jnp.maximum(parts[0], parts[1])
        return jnp.where(rest, Bound.OVERHEAD.value, most)

    def chip_seconds(self, batch: Number) -> tuple[Number, Number]:
        """Return the chip-seconds of one request's input, and of one output token."""
        cycle = self.stretch * self.step.seconds(batch)
        reading = self.stretch * self.step.prefill_seconds(batch)
        # All stages are busy: a step of all of them yields a batch for each.
        per_token = self.group / (batch * self.yields)
        if self.servers.separate:
            apart = self.group * self.prompt.seconds(self.prompts) / self.prompts
            return apart, cycle * per_token
        return reading * per_token * self.outputs, (cycle - reading) * per_token

    def dollars_per_request(self, batch: Number) -> Number:
        """Return the price of one request's input and all samples of its output."""
        reading, decoding = self.chip_seconds(batch)
        return self.dollars_per_chip_second * (reading + self.outputs * decoding)

    @property
    def dollars_per_chip_second(self) -> Number:
        """The price of a chip that works, idle ones shared out."""
        return self.servers.dollars_per_hour / (3600 * self.servers.utilisation)

    def operation(self, batch: Number) -> Operation:
        """Return the operating point at a batch of each stage."""
        servers, request = self.servers, self.request
        chips, total = self.chips, batch * servers.stages
        peak = servers.peak(self.formats.serve_bits)
        reading, decoding = self.chip_seconds(batch)
        dollars = self.dollars_per_chip_second
        tpot, ttft = self.tpot(batch), self.ttft(batch)
        useful = self.work.decode_flops / self.work.tokens
        read = jnp.where(reading > 0, reading, 1.0)
        request_seconds = reading + self.outputs * decoding
        memory_time = self.group * servers.bandwidth * self.step.seconds(batch)
        one = jnp.ones_like(tpot)
        return Operation(
            batch=total * one,
            chips=chips * one,
            tpot=tpot,
            ttft=ttft * one,
            latency=ttft + (request.output_tokens - 1) * tpot,
            tokens_per_second=total / tpot,
            prefill_mfu=one * self.prompt_work.prefill_flops / (peak * read),
            decode_mfu=useful / (peak * decoding),
            mbu=self.work.bytes(batch) / memory_time,
            dollars_per_million_input_tokens=one
            * 1e6
            * dollars
            * reading
            / request.input_tokens,
            dollars_per_million_output_tokens=1e6 * dollars * decoding,
            dollars_per_request=dollars * request_seconds,
            joules_per_output_token=servers.watts
            * servers.power
            * request_seconds
            / self.outputs,
            weight_bytes=one * self.weight_bytes,
            kv_bytes=total * self.kv_bytes(request.input_tokens + request.output_tokens / 2),
            bound=self.takes_most(batch),
            status=jnp.where(tpot > 0, Status.CONVERGED.value, Status.INVALID.value),
        )


def replica_of(
    shape: TransformerShape, servers: Servers, request: Request, formats: Formats, group: Number
) -> Replica:
    """Return a replica of a model on groups of so many chips."""
    draft = servers.draft
    guesses = 0.0 if draft is None else draft.length
    yields = 1.0 if draft is None else draft.tokens
    riding = request.new_tokens / (request.output_tokens * request.samples) * yields
    load = Load(
        tokens=1.0 + guesses,
        context=request.input_tokens + request.output_tokens / 2,
        prefill=0.0 * riding if servers.separate else riding,
        prompt=request.input_tokens,
        cached=request.cached,
    )
    bare = Replica(
        servers=servers,
        request=request,
        formats=formats,
        shape=shape,
        group=group,
        yields=yields,
        stretch=1.0 if draft is None else 1.0 + draft.length * draft.cost,
    )
    work = bare.work_of(load)
    return bare._replace(work=work, step=bare.step_of(work))


def _handed_on(step: Step, work: Work, servers: Servers) -> Step:
    """Return the step with what handing activations (16-bit) from stage to stage takes."""
    hops = servers.stages - 1
    if not hops:
        return step
    each = hops * 2 * work.width / servers.network
    return dataclasses.replace(
        step,
        overhead=step.overhead + hops * _HOP,
        decode_traffic=step.decode_traffic + each * work.tokens,
        prefill_traffic=step.prefill_traffic + each * work.read,
    )
