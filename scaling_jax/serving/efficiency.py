"""How far chips and engines stay behind their data sheets: a few numbers, each fitted.

A step of a served model takes the bytes and FLOPs that it must move and do, over the chip's
peaks times these shares, plus times that no peak explains.
"""

from typing import Annotated

from scaling_jax._pytree import POSITIVE, NonNegative, Number, Positive, Record

# A share of a peak, or a factor on one: some data sheets understate their chip.
Factor = Annotated[Number, POSITIVE.between(0.3, 1.2)]


class Efficiency(Record):
    """Shares of a chip's peaks, and overheads in seconds.

    The defaults were fitted to 491 published throughputs and 691 latencies of TensorRT-LLM,
    vLLM, SGLang and others by `benchmarks/serve_measured.py`: half of the rows are predicted
    within 7.0 %, nine tenths within 26 %. The bandwidth of weights and the memory's share are
    not fitted: .87 is what copies reach on an H100 and vLLM's default is .9.

    Attributes:
        bandwidth: of memory bandwidth, reading weights.
        kv_bandwidth: of memory bandwidth, reading keys and values.
        decode_mfu: of peak FLOP/s at 16 bits, in decoding.
        prefill_mfu: the same, reading prompts.
        eight_bit: what 8-bit arithmetic reaches of its peak beside 16-bit of its own.
        four_bit: the same of 4-bit arithmetic.
        token_traffic: what a token reads and writes beside matrices, per layer, in units of
            the width (in 16 bits).
        layer_seconds: each layer of a step takes longer by this.
        step_seconds: each step takes longer by this.
        sequence_seconds: a step takes longer by this for each sequence of its batch.
        expert_seconds: for each expert that a chip runs in a layer.
        expert_layer_seconds: for each layer of experts.
        reduce_seconds: an all-reduce of nothing, in a group of two.
        rank_seconds: what each further chip adds to it.
        link: of the link's bandwidth, in an all-reduce.
        memory: of a chip's memory, for weights and cache together.
        chip_bytes: memory that activations and the engine take on each chip.
        cache_fill: of the cache's memory, that holds tokens.
        reserved: of a request's output, that has its place in the cache when it is admitted.
        max_batch: the most sequences that an engine runs at once.
    """

    bandwidth: Factor = 0.87
    kv_bandwidth: Factor = 0.901
    decode_mfu: Factor = 0.811
    prefill_mfu: Factor = 0.789
    eight_bit: Factor = 0.703
    four_bit: Factor = 0.466
    token_traffic: NonNegative = 11.9
    layer_seconds: NonNegative = 66.9e-6
    step_seconds: NonNegative = 96.7e-6
    sequence_seconds: NonNegative = 8.97e-6
    expert_seconds: NonNegative = 1.02e-6
    expert_layer_seconds: NonNegative = 9.71e-6
    reduce_seconds: NonNegative = 5.12e-6
    rank_seconds: NonNegative = 0.755e-6
    link: Factor = 0.478
    memory: Factor = 0.92
    chip_bytes: NonNegative = 1.5e9
    cache_fill: Factor = 0.967
    reserved: NonNegative = 0.719
    max_batch: Positive = 4520.0


# The data sheet itself: for textbook answers, and as a bound.
IDEAL = Efficiency(
    bandwidth=1.0,
    kv_bandwidth=1.0,
    decode_mfu=1.0,
    prefill_mfu=1.0,
    eight_bit=1.0,
    four_bit=1.0,
    token_traffic=0.0,
    layer_seconds=0.0,
    step_seconds=0.0,
    sequence_seconds=0.0,
    expert_seconds=0.0,
    expert_layer_seconds=0.0,
    reduce_seconds=0.0,
    rank_seconds=0.0,
    link=1.0,
    memory=1.0,
    chip_bytes=0.0,
    cache_fill=1.0,
    reserved=1.0,
    max_batch=1e9,
)
