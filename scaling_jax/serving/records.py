"""What is asked of a fleet of servers, and how it answers best."""

import enum
from typing import Any

from scaling_jax._pytree import Number, OptionalPositive, Positive, Record, Share


class Request(Record):
    """One request, and how long its user will wait.

    Attributes:
        input_tokens, output_tokens: its mean lengths.
        max_tpot: seconds per output token that are borne; None: any.
        max_ttft: seconds to the first token that are borne; None: any.
        cached: the share of the input whose keys and values are in a cache already.
        samples: answers drawn to one input, which is read once.
    """

    input_tokens: Positive = 70.0
    output_tokens: Positive = 215.0
    max_tpot: OptionalPositive = None
    max_ttft: OptionalPositive = None
    cached: Share = 0.0
    samples: Positive = 1.0

    @property
    def new_tokens(self) -> Number:
        """Input tokens that must be read."""
        return (1 - self.cached) * self.input_tokens


class Bound(enum.IntEnum):
    """What keeps a token from being cheaper.

    The first three are where a step's time goes, when the batch was given or is the engine's
    largest; the others are what keeps the batch from growing.
    """

    BANDWIDTH = 0
    ARITHMETIC = 1
    OVERHEAD = 2
    MEMORY = 3
    TPOT = 4
    TTFT = 5

    @property
    def message(self) -> str:
        """A phrase for people."""
        return _MESSAGES[self]


_MESSAGES = {
    Bound.BANDWIDTH: "memory bandwidth takes most of a step",
    Bound.ARITHMETIC: "arithmetic takes most of a step",
    Bound.OVERHEAD: "communication and overheads take most of a step",
    Bound.MEMORY: "the cache fills the memory",
    Bound.TPOT: "the time per output token is at its limit",
    Bound.TTFT: "the time to the first token is at its limit",
}


class Operation(Record):
    """How a model is served: a replica's operating point.

    Attributes:
        batch: sequences at once, a mean and so no whole number.
        chips: of one replica.
        tpot, ttft: seconds per output token, and to the first, of a request that finds room.
        latency: seconds of a request, to its last token.
        tokens_per_second: output tokens of one replica.
        prefill_mfu, decode_mfu: model FLOPs over peak FLOPs in the time that each takes.
        mbu: bytes that a step reads over what memory could bring in its time.
        dollars_per_million_input_tokens, dollars_per_million_output_tokens: at the fleet's mean
            load; input tokens count whether they are cached or not.
        dollars_per_request: its input and all samples of output.
        joules_per_output_token: of the chips, prompts included.
        weight_bytes, kv_bytes: of one replica: its weights, its cache at this batch.
        bound: a `Bound`.
        status: a `Status`; where it is not CONVERGED the rest is NaN.
    """

    batch: Any
    chips: Any
    tpot: Any
    ttft: Any
    latency: Any
    tokens_per_second: Any
    prefill_mfu: Any
    decode_mfu: Any
    mbu: Any
    dollars_per_million_input_tokens: Any
    dollars_per_million_output_tokens: Any
    dollars_per_request: Any
    joules_per_output_token: Any
    weight_bytes: Any
    kv_bytes: Any
    bound: Any
    status: Any

    @property
    def tokens_per_second_per_chip(self) -> Number:
        """Output tokens per second and chip."""
        return self.tokens_per_second / self.chips


class ServingError(ValueError):
    """A model cannot be served as asked; the sentence says what is missing."""
