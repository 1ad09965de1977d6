"""The best operating point: against brute force, orders that must hold, and failures."""

import dataclasses
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax._numerics import as_floats
from scaling_jax.serving import (
    LLAMA,
    Bound,
    Draft,
    Request,
    Servers,
    ServingError,
    operate,
)
from scaling_jax.serving.replica import Formats, replica_of
from scaling_jax.shapes import TransformerShape
from scaling_jax.solve import Status
from tests.conftest import needs_x64
from tests.serving.test_roofline import DEEPSEEK_V3, LLAMA_70B
from tests.support import approx

H100 = Servers.of("H100-SXM", 8)
few = hypothesis.settings(max_examples=25, deadline=None)
VARIANTS = {
    "mixed": {},
    "separate": {"separate": True},
    "guessing": {"draft": Draft()},
    "staged": {"stages": 2},
    "textbook": {"overlap": "max"},
}


def brute_force(shape, servers, request, batches):
    """Return the least dollars per request of any allowed batch, and where."""
    best = (np.inf, 0, 0)
    weights, cache = servers.formats()
    for group in servers.groups:
        replica = replica_of(
            *as_floats(shape=shape, servers=servers, request=request,
                       bits=Formats(weights, cache)), group
        )  # fmt: skip
        allowed = (batches <= replica.limits().room) & (batches >= 1)
        if request.max_tpot is not None:
            allowed &= np.asarray(replica.tpot(batches)) <= request.max_tpot
        if request.max_ttft is not None:
            allowed &= np.asarray(replica.ttft(batches)) <= request.max_ttft
        dollars = np.where(allowed, np.asarray(replica.dollars_per_request(batches)), np.inf)
        at = int(np.argmin(dollars))
        best = min(best, (dollars[at], group, batches[at]))
    return best


@needs_x64
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("limits", [(0.05, None), (0.03, 0.5), (None, None)])
def test_closed_form_against_all_batches(variant, limits):
    servers = Servers.of("H100-SXM", 8, **VARIANTS[variant])
    request = Request(
        input_tokens=1000.0, output_tokens=300.0, max_tpot=limits[0], max_ttft=limits[1]
    )
    best = operate(LLAMA_70B, servers, request)
    batches = np.linspace(1, 4520, 40_001)
    dollars, group, batch = brute_force(LLAMA_70B, servers, request, batches)
    assert best.dollars_per_request <= dollars * (1 + 1e-12)
    assert best.dollars_per_request == approx(dollars, rel=3e-3)
    assert best.chips == group * servers.stages
    assert best.batch == approx(batch * servers.stages, rel=0.01)


def test_what_an_operation_says_of_itself():
    request = Request(input_tokens=1024.0, output_tokens=1024.0, max_tpot=0.03)
    one = operate(LLAMA_70B, H100, request)
    assert one.tokens_per_second * one.tpot == approx(one.batch)
    assert one.latency == approx(one.ttft + 1023 * one.tpot)
    per_hour = one.dollars_per_request * one.tokens_per_second * 3600 / 1024
    assert per_hour == approx(one.chips * H100.dollars_per_hour)
    watts = one.joules_per_output_token * one.tokens_per_second
    assert watts == approx(0.75 * 700 * one.chips)
    # Dollars are FLOPs over the MFU that is told, as in the cost of a fleet.
    flops = LLAMA_70B.forward_flops(1024) - 2 * 128_256 * 8192
    price = H100.dollars_per_hour / 3600 / H100.peaks[1]
    expected = 1e6 * price * flops / one.prefill_mfu
    assert one.dollars_per_million_input_tokens == approx(expected, rel=1e-5)
    assert Bound(int(one.bound)).message == "the time per output token is at its limit"


def test_utilisation_and_price_scale_dollars_only():
    request = Request(max_tpot=0.05)
    one = operate(LLAMA_70B, H100, request)
    idle = operate(LLAMA_70B, dataclasses.replace(H100, utilisation=0.5), request)
    assert idle.dollars_per_request == approx(2 * one.dollars_per_request)
    assert idle.batch == approx(one.batch)


def test_a_cached_prompt_is_cheaper_and_samples_share_theirs():
    request = Request(input_tokens=4000.0, output_tokens=200.0, max_tpot=0.05)
    plain, cached, five = (
        operate(LLAMA_70B, H100, dataclasses.replace(request, **more))
        for more in ({}, {"cached": 0.8}, {"samples": 5.0})
    )
    assert cached.dollars_per_request < 0.8 * plain.dollars_per_request
    assert five.dollars_per_request < 5 * plain.dollars_per_request


def test_guesses_speed_up_small_batches():
    """Leviathan et al.: (1 - a^(g + 1)) / ((1 - a)(g c + 1)), bound by memory."""
    draft = Draft(acceptance=0.8, length=4.0, cost=0.05)
    assert draft.tokens == approx((1 - 0.8**5) / 0.2)
    assert Draft(acceptance=1.0, length=3.0).tokens == approx(4.0)
    request = Request(input_tokens=100.0, output_tokens=1000.0)
    alone, guessed = (
        operate(LLAMA_70B, dataclasses.replace(H100, draft=each), request, batch=1.0)
        for each in (None, draft)
    )
    assert alone.tpot / guessed.tpot == approx(float(draft.tokens) / 1.2, rel=0.03)


def test_the_published_closed_form():
    """serving.md 9: c(n) = n T (K + phi b'/F') / (n b' (T - L tau) - W), and its floor."""
    from scaling_jax.serving import IDEAL, Efficiency

    own = dataclasses.replace(
        IDEAL, bandwidth=0.87, kv_bandwidth=0.87, decode_mfu=0.6, prefill_mfu=0.6,
        layer_seconds=80e-6,
    )  # fmt: skip
    assert isinstance(own, Efficiency)
    servers = dataclasses.replace(
        Servers.of("H100-SXM", 8, efficiency=own, groups=(8,)), link=1e30, chip_memory=1e15
    )
    limit, request = 0.05, Request(max_tpot=0.05)
    best = operate(LLAMA_70B, servers, request)
    seen = 70 + 215 / 2
    cache = LLAMA_70B.kv_cache_bytes(seen, bytes_per_number=1)
    head = 128_256 * 8192
    flops = 2 * LLAMA_70B.active_matmul_params * (1 + 70 / 215) + 2 * head
    flops += LLAMA_70B.score_flops(seen) + LLAMA_70B.score_flops(71 / 2) * 70 / 215
    weights = LLAMA_70B.matmul_params + 2 * head
    stream, rate = 0.87 * servers.bandwidth, 0.6 * servers.peaks[1]
    top = 8 * limit * (cache + flops * stream / rate)
    chip_seconds = top / (8 * stream * (limit - 80 * 80e-6) - weights)
    measured = best.dollars_per_request * 3600 / servers.dollars_per_hour / 215
    assert measured == approx(chip_seconds, rel=1e-5)


@few
@hypothesis.given(
    st.floats(9.2, 11.5), st.floats(10, 8000), st.floats(20, 4000), st.floats(0.015, 0.3)
)
def test_more_never_costs_more(log_size, tokens_in, tokens_out, limit):
    shape = LLAMA.shape(10.0**log_size)
    request = Request(input_tokens=tokens_in, output_tokens=tokens_out, max_tpot=limit)

    def dollars(servers=H100, request=request):
        try:
            return float(operate(shape, servers, request).dollars_per_request)
        except ServingError:
            return np.inf

    base = dollars()
    for name in ("bandwidth", "chip_memory", "link"):
        better = dataclasses.replace(H100, **{name: 1.3 * getattr(H100, name)})
        assert dollars(servers=better) <= base * (1 + 1e-6), name
    looser = dataclasses.replace(request, max_tpot=1.5 * limit)
    assert dollars(request=looser) <= base * (1 + 1e-6)
    fewer = dataclasses.replace(H100, kv_bits=4.0)
    assert dollars(servers=fewer) <= base * (1 + 1e-6)


@few
@hypothesis.given(st.floats(9.0, 11.5), st.floats(10, 8000), st.floats(20, 4000))
def test_a_token_is_cheaper_in_a_larger_batch(log_size, tokens_in, tokens_out):
    shape = LLAMA.shape(10.0**log_size)
    request = Request(input_tokens=tokens_in, output_tokens=tokens_out)
    replica = replica_of(
        *as_floats(shape=shape, servers=H100, request=request, bits=Formats(8.0, 8.0)), 4
    )
    batches = np.geomspace(1, 4000, 30)
    assert np.all(np.diff(np.asarray(replica.dollars_per_request(batches))) < 0)
    assert np.all(np.diff(np.asarray(replica.tpot(batches))) > 0)


@needs_x64
@pytest.mark.parametrize("variant", [*VARIANTS, "experts"])
def test_gradients_against_central_differences(variant):
    servers = Servers.of("H100-SXM", 8, kv_bits=8.0, **VARIANTS.get(variant, {}))
    request = Request(input_tokens=900.0, output_tokens=400.0, max_tpot=0.04)
    experts = {"active_params": 1e10} if variant == "experts" else {}

    def dollars(x):
        shape = LLAMA.shape(x[0] * 6e10, **experts)
        own = dataclasses.replace(
            servers.efficiency, layer_seconds=x[1] * servers.efficiency.layer_seconds
        )
        chips = dataclasses.replace(
            servers, bandwidth=x[2] * servers.bandwidth, efficiency=own,
            peaks=tuple(x[3] * peak for peak in servers.peaks),
        )  # fmt: skip
        asked = dataclasses.replace(
            request, max_tpot=x[4] * 0.04, input_tokens=x[5] * 900.0, output_tokens=x[6] * 400.0
        )
        return operate(shape, chips, asked, serve_bits=x[7] * 8.0).dollars_per_request

    at, step = np.ones(8), 1e-5
    at[7] = 0.99  # between the steps of formats
    slope = jax.grad(dollars)(jnp.array(at))
    assert np.all(np.isfinite(slope))
    for i, unit in enumerate(np.eye(8)):
        central = (dollars(at + step * unit) - dollars(at - step * unit)) / (2 * step)
        assert slope[i] == approx(central, rel=2e-5, abs=1e-12), i


def test_arrays_jit_and_vmap_agree():
    limits = jnp.array([0.02, 0.05, 0.2])
    sizes = jnp.array([7e9, 7e10, 3e11])

    def served(size, limit):
        return operate(LLAMA.shape(size), H100, Request(max_tpot=limit))

    together = served(sizes, limits)
    mapped = jax.jit(jax.vmap(served))(sizes, limits)
    for i in range(3):
        alone = served(sizes[i], limits[i])
        for a, b, c in zip(*map(jax.tree.leaves, (together, mapped, alone)), strict=True):
            np.testing.assert_allclose(a[i], c, rtol=1e-5)
            np.testing.assert_allclose(b[i], c, rtol=1e-5)


def test_works_in_32_bit():
    shape, servers, request = jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float32), (LLAMA_70B, H100, Request(max_tpot=0.05))
    )
    single = operate(shape, servers, request)
    assert single.tpot.dtype == jnp.float32
    double = operate(LLAMA_70B, H100, Request(max_tpot=0.05))
    assert single.dollars_per_request == approx(double.dollars_per_request, rel=1e-4)


def test_a_latent_mixture_is_served():
    servers = Servers.of("H200", 8, dollars_per_hour=2.0, kv_by_batch=True, groups=(8, 16))
    request = Request(input_tokens=2000.0, output_tokens=500.0, max_tpot=0.05)
    best = operate(DEEPSEEK_V3, servers, request)
    assert best.chips in (8, 16)
    assert best.weight_bytes == approx(673e9, rel=0.01)
    assert best.tpot <= 0.05 * (1 + 1e-6)


def test_infeasible_is_data_in_a_batch():
    sizes = jnp.array([7e9, 9e11])
    both = operate(LLAMA.shape(sizes), H100, Request())
    assert list(np.asarray(both.status)) == [Status.CONVERGED, Status.INFEASIBLE]
    assert np.isfinite(both.tpot[0])
    assert np.isnan(both.tpot[1])


L40S = Servers.of("L40S", 16, dollars_per_hour=1.0, groups=(1, 2))
REFUSED = [
    (lambda: operate(LLAMA_70B, L40S, Request()), ServingError,
     r"does not fit: 141.1 GB of weights and .* need 55.3 GB more than the 85.88 GB .* 2 L40S"),
    (lambda: operate(LLAMA_70B, H100, Request(max_tpot=0.002)), ServingError,
     r"max_tpot is 0.002 s; the least time to a token is 0.0\d+ s, of one sequence on 8 H100"),
    (lambda: operate(LLAMA_70B, H100, Request(max_ttft=0.001)), ServingError,
     r"max_ttft is 0.001 s; the least time to a first token is 0.01\d+ s"),
    (lambda: operate(LLAMA_70B, H100, Request(), batch=1e6), ServingError,
     r"no group meets all limits at once; the largest, of 8 H100-SXM, has room for"),
    (lambda: operate(LLAMA_70B, H100, Request(), batch=0), ValueError,
     r"batch is 0; it must be positive"),
    (lambda: operate(LLAMA_70B, H100, Request(), serve_bits=32), ValueError,
     r"serve_bits is 32; H100-SXM computes in 8 and 16 bits, so take at most 16"),
    (lambda: operate(dataclasses.replace(LLAMA_70B, heads=63), H100, Request()), ValueError,
     r"heads is 63 and kv_heads 8; kv_heads must divide heads"),
    (lambda: operate(dataclasses.replace(LLAMA_70B, heads=72, kv_heads=9), H100, Request()),
     ValueError, r"d_model is 8192 and heads 72; heads must divide d_model"),
    (lambda: operate(LLAMA_70B, H100, Request(max_tpot=-1)), ValueError,
     r"request.max_tpot is -1; it must be positive"),
    (lambda: operate(LLAMA_70B, H100, Request(cached=1.0)), ValueError,
     r"request.cached is 1; it must be in \[0, 1\)"),
    (lambda: Servers.of("H100-SXM", groups=(0,)), ValueError, r"groups has 0; it must"),
    (lambda: Servers.of("H100-SXM", groups=()), ValueError, r"groups is empty"),
    (lambda: Servers.of("H100-SXM", overlap="none"), ValueError, r"overlap is 'none'; it must"),
    (lambda: Servers.of("L40S"), ValueError, r"no price for L40S"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=itertools.count())
def test_refusals_are_one_sentence(case):
    call, error, sentence = case
    with pytest.raises(error, match=sentence):
        call()


def test_a_shape_with_experts_is_not_trained_here():
    with pytest.raises(ValueError, match="the bundled model has no experts"):
        TransformerShape(**{**vars(DEEPSEEK_V3), "latent": None}).check()
