"""Bytes, FLOPs and seconds of a step: textbooks, published totals, the real model."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from scaling_jax.serving import IDEAL, LLAMA, PAPER, Load, Servers, Work, step_of, work_of
from scaling_jax.serving.measured import shape_of
from scaling_jax.serving.work import bytes_per_weight, kv_memory, weight_memory
from scaling_jax.shapes import Experts, Latent, TransformerShape, Window
from tests.conftest import DATA
from tests.support import approx

needs_models = pytest.mark.skipif(
    not (DATA / "serving_models.csv").exists(), reason="the table of models is not here"
)
LLAMA_70B = TransformerShape(
    d_model=8192, layers=80, heads=64, kv_heads=8, d_ff=28_672, vocab_size=128_256,
    tied=False, gated=True,
)  # fmt: skip
DEEPSEEK_V3 = TransformerShape(
    d_model=7168, layers=61, heads=128, kv_heads=128, d_ff=18_432, vocab_size=129_280,
    tied=False, gated=True,
    experts=Experts(count=256, active=8, d_ff=2048, shared=1, layers=58),
    latent=Latent(kv_rank=512, query_rank=1536, nope=128, rope=64, value=128),
)  # fmt: skip


def ideal(chip, bits=16, **others):
    price = {"dollars_per_hour": 1.0}
    return Servers.of(chip, bits, efficiency=IDEAL, **price, **others)


# Scaling book, "All about transformer inference": LLaMA-2-13B on 8 TPU v5e.
BATCHES = (1, 8, 16, 32, 64, 240)
BOOK = {
    6.7e9: (
        (4.98, 12.13, 20.30, 36.65, 69.33, 249.09),
        (200.61, 659.30, 787.99, 873.21, 923.13, 963.53),
    ),
    1.34e9: (
        (4.17, 5.60, 7.23, 10.50, 17.04, 52.99),
        (239.94, 1429.19, 2212.48, 3047.62, 3756.62, 4529.34),
    ),
}


@pytest.mark.parametrize("overlap", ["max", "attention"])
@pytest.mark.parametrize("kv", BOOK)
def test_both_tables_of_the_scaling_book_to_every_printed_digit(kv, overlap):
    work = Work(weight_bytes=26e9, kv_bytes=kv, decode_flops=2 * 13e9)
    step = step_of(work, ideal("TPU-v5e", overlap=overlap), chips=8, serve_bits=16)
    seconds = np.array([float(step.seconds(batch)) for batch in BATCHES])
    milliseconds, per_second = BOOK[kv]
    assert [round(x, 2) for x in 1e3 * seconds] == list(milliseconds)
    assert [round(x, 2) for x in BATCHES / seconds] == list(per_second)


def test_the_book_s_llama_3_70b():
    shape = LLAMA_70B
    assert kv_memory(shape, 1, kv_bits=8) == approx(163_840)
    assert kv_memory(shape, 32_768, kv_bits=8) == approx(5.3e9, rel=0.02)
    cache = 32 * kv_memory(shape, 8192, kv_bits=8)
    assert cache == approx(42.9e9, rel=2e-3)  # printed 41.9: 8k taken for 8192
    at_once = Work(weight_bytes=70e9, kv_bytes=42e9 / 32, decode_flops=140e9)
    v5e = dataclasses.replace(ideal("TPU-v5e", 8, overlap="attention"), bandwidth=8.1e11)
    for chips, milliseconds in ((8, 17.3), (16, 8.6)):
        step = step_of(dataclasses.replace(at_once, decode_flops=0.0), v5e,
                       chips=chips, serve_bits=8)  # fmt: skip
        assert 1e3 * step.seconds(32) == approx(milliseconds, rel=0.01)
    # 16 GB at full bandwidth: 19 ms; 43 sequences, 512 tokens, 16 chips: .27 a second.
    sweep = 16e9 / 8.2e11
    assert 43 / (512 * sweep) / 16 == approx(0.27, rel=0.02)
    prompt = Work(weight_bytes=0.0, kv_bytes=0.0, decode_flops=0.0,
                  prefill_flops=2 * 70e9 * 8192)  # fmt: skip
    at_40 = dataclasses.replace(IDEAL, prefill_mfu=0.4)
    slow = Servers.of("TPU-v5e", efficiency=at_40)
    assert step_of(prompt, slow, chips=16, serve_bits=16).seconds(1) == approx(0.91, rel=2e-3)


# Epoch's notebook (arXiv 2506.04645), section 2.2: four all-reduces a layer over sqrt(n)
# ranks, of 2 µs a hop and 6 µs, then the maximum. H100: 3.3e12 B/s, 1e15 FLOP/s.
EPOCH = [
    (70.5524e9, 80, 2, 8, 3.3e12, 1, 8.435071),
    (70.5524e9, 80, 2, 8, 3.3e12, 256, 8.435071),
    (70.5524e9, 80, 1, 8, 3.3e12, 32, 5.762632),
    (70.5524e9, 80, 2, 8, 2.0e12, 32, 11.909242),
    (8.03e9, 32, 2, 1, 3.3e12, 64, 5.634664),
]


@pytest.mark.parametrize("case", EPOCH)
def test_epoch_s_simple_form(case):
    params, layers, number, chips, bandwidth, batch, milliseconds = case
    own = dataclasses.replace(
        IDEAL, layer_seconds=4 * (2e-6 * (chips**0.5 - 1) + 6e-6), reduce_seconds=0.0
    )
    servers = dataclasses.replace(
        Servers.of("H100-SXM", efficiency=own, overlap="max"),
        bandwidth=bandwidth, peaks=(1e15, 2e15), link=1e30,
    )  # fmt: skip
    work = Work(
        weight_bytes=number * params, kv_bytes=0.0, decode_flops=2 * params, layers=layers
    )
    step = step_of(work, servers, chips=chips, serve_bits=8 * number)
    assert 1e3 * step.seconds(batch) == approx(milliseconds, rel=2e-5)


@needs_models
def test_published_totals_and_active_parameters():
    with (DATA / "serving_models.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 25
    for row in rows:
        shape = shape_of(row)
        assert shape.params == approx(float(row["params"]), rel=0.01), row["model"]
        active = shape.active_params + (0 if shape.tied else shape.embedding_params / 2)
        assert active == approx(float(row["active_params"]), rel=0.01), row["model"]


def test_deepseek_v3():
    assert DEEPSEEK_V3.params == approx(671.0e9, rel=1e-3)
    assert DEEPSEEK_V3.active_params == approx(36.6e9, rel=2e-3)
    assert DEEPSEEK_V3.kv_cache_bytes(1) == 70_272
    # Absorbed decoding: 2 h (2 d_c + d_r) FLOPs for (d_c + d_r) numbers, 242 a byte.
    per_byte = DEEPSEEK_V3.score_flops(1, absorbed=True) / DEEPSEEK_V3.kv_cache_bytes(1)
    assert per_byte == approx(242, rel=2e-3)


def test_a_window_bounds_what_is_seen_and_cached():
    short = dataclasses.replace(LLAMA_70B, window=Window(tokens=128, layers=40))
    assert short.kv_cache_bytes(100) == LLAMA_70B.kv_cache_bytes(100)
    assert short.kv_cache_bytes(1000) * 2000 == LLAMA_70B.kv_cache_bytes(1000) * 1128
    assert short.score_flops(1000) * 2000 == LLAMA_70B.score_flops(1000) * 1128


def matrix_flops(jaxpr):
    """Count multiply-adds, twice, of every matrix product of a program."""
    total = 0
    for equation in jaxpr.eqns:
        for inner in jaxprs_in_params(equation.params):
            total += matrix_flops(inner)
        if equation.primitive.name == "dot_general":
            ((left, _), _) = equation.params["dimension_numbers"]
            contracted = [equation.invars[0].aval.shape[axis] for axis in left]
            total += 2 * int(np.prod(equation.outvars[0].aval.shape)) * int(np.prod(contracted))
    return total


@pytest.mark.parametrize(("tied", "gated"), [(True, False), (False, True)])
def test_bytes_flops_and_cache_against_the_real_model(tied, gated):
    from flax import nnx

    from scaling_jax.training.config import ModelOptions
    from scaling_jax.training.model import Transformer

    shape = TransformerShape(
        d_model=128, layers=3, heads=8, kv_heads=2, d_ff=384, vocab_size=512,
        tied=tied, gated=gated,
    )  # fmt: skip
    options = ModelOptions(dtype="float32", remat=False, attention="xla")
    model = nnx.eval_shape(lambda: Transformer(shape, options, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    sizes = [leaf.size for leaf in jax.tree.leaves(state)]
    assert sum(sizes) == shape.params
    norms = (2 * shape.layers + 1) * shape.d_model
    counted = weight_memory(shape, 16)
    assert counted == 2 * (sum(sizes) - norms)
    length = 64
    tokens = jax.ShapeDtypeStruct((1, length), jnp.int32)
    program = jax.make_jaxpr(lambda s, x: nnx.merge(graph, s)(x))(state, tokens)
    # The model computes what a causal mask hides, and the head of every position.
    load = Load(tokens=float(length), context=float(length))
    work = work_of(shape, load, serve_bits=16)
    assert matrix_flops(program.jaxpr) == approx(work.decode_flops, rel=1e-6)
    read = sum(sizes) - norms - (0 if tied else shape.vocab_size * shape.d_model)
    assert work.weight_bytes == 2 * read
    assert work.kv_bytes == 2 * 2 * 3 * shape.kv_dim * length


def test_experts_that_a_batch_reaches():
    """Against drawing each token's experts at random, evenly and apart."""
    mixture = dataclasses.replace(
        LLAMA_70B, experts=Experts(count=16, active=2, d_ff=1024, layers=80)
    )
    work = work_of(mixture, Load())
    rng = np.random.default_rng(0)
    for batch in (1, 4, 20):
        draws = [
            len(set(np.concatenate([rng.choice(16, 2, replace=False) for _ in range(batch)])))
            for _ in range(4000)
        ]
        assert work.reached(batch) == approx(np.mean(draws) / 16, rel=0.01)
        assert work.bytes(batch) == approx(
            float(work.weight_bytes + work.reached(batch) * work.routed_bytes), rel=1e-6
        )


def test_copies_of_a_cache_that_heads_cannot_share_out():
    one, many = (work_of(LLAMA_70B, Load(context=1000.0), chips=n).kv_bytes for n in (8, 32))
    assert many == approx(4 * float(one))
    apart = work_of(LLAMA_70B, Load(context=1000.0), chips=32, kv_by_batch=True)
    assert apart.kv_bytes == approx(float(one))


def test_formats():
    assert bytes_per_weight(4) == approx(0.5625)
    assert bytes_per_weight(8) == approx(1.0)
    h100, b200 = ideal("H100-SXM"), ideal("B200")
    assert h100.peak(4) == approx(h100.peaks[1])  # the smallest that there is
    assert b200.peak(4) == approx(9e15)
    assert h100.peak(16) == approx(989e12)
    assert np.isnan(h100.peak(32))


@pytest.mark.parametrize("overlap", ["sum", "max", "attention"])
@pytest.mark.parametrize("experts", [None, Experts(count=64, active=4, d_ff=2048)])
def test_the_largest_batch_is_where_the_step_takes_its_time(overlap, experts):
    shape = dataclasses.replace(LLAMA_70B, experts=experts)
    servers = Servers.of("H100-SXM", 8, overlap=overlap)
    load = Load(context=500.0, prefill=0.4, prompt=300.0)
    step = step_of(work_of(shape, load, serve_bits=8), servers, chips=4, serve_bits=8)
    for seconds in (0.02, 0.05, 0.4):
        batch = step.largest(seconds)
        assert batch > 1
        assert step.seconds(batch) == approx(seconds, rel=1e-5)


@pytest.mark.parametrize("family", [LLAMA, PAPER])
def test_a_size_has_its_shape(family):
    for size in (1e8, 1e10, 1e12):
        shape = family.shape(size)
        assert shape.params == approx(size, rel=1e-5)
        assert shape.d_model / shape.layers == approx(family.d_model_per_layer, rel=1e-5)


def test_sizes_are_near_the_models_that_gave_the_proportions():
    for size, width, layers in ((8.03e9, 4096, 32), (70.55e9, 8192, 80), (405.8e9, 16384, 126)):
        shape = LLAMA.shape(size)
        assert shape.d_model == approx(width, rel=0.1)
        assert shape.layers == approx(layers, rel=0.15)


def test_mixtures_of_a_size():
    shape = LLAMA.shape(235e9, active_params=22e9)
    assert shape.params == approx(235e9, rel=2e-3)
    assert shape.active_params + shape.embedding_params / 2 == approx(22e9, rel=5e-3)
    given = LLAMA.shape(235e9, experts=128.0)
    assert given.params == approx(235e9, rel=2e-3)
    assert given.experts.active == approx(8.0)
    both = LLAMA.shape(235e9, active_params=22e9, experts=128.0)
    assert both.experts.count == 128.0
    assert both.params == approx(235e9, rel=2e-3)
