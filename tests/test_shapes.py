import dataclasses

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.shapes import TransformerShape, shape_for
from tests.support import approx

# Sardana et al., Table 4: d_model, heads, layers, printed parameters.
TABLE_4 = {
    "151M": (768, 12, 12, 1e6),
    "367M": (1024, 16, 24, 1e6),
    "749M": (1536, 12, 24, 1e6),
    "1.26B": (2048, 16, 24, 1e7),
    "2.46B": (2560, 20, 32, 1e7),
    "6.05B": (4096, 32, 32, 1e7),
}


def sardana(d_model, heads, layers):
    return TransformerShape(
        d_model=d_model, layers=layers, heads=heads, kv_heads=heads // 4, d_ff=4 * d_model,
        vocab_size=100_352,
    )  # fmt: skip


@pytest.mark.parametrize("printed", TABLE_4)
def test_the_six_printed_counts(printed):
    *shape, digit = TABLE_4[printed]
    number = float(printed[:-1]) * {"M": 1e6, "B": 1e9}[printed[-1]]
    assert round(sardana(*shape).params / digit) * digit == approx(number)


def test_llama_3_70b():
    """Scaling book: MLP 56.3e9, attention 12e9, embeddings 2.1e9, together 70.4e9."""
    llama = TransformerShape(
        d_model=8192, layers=80, heads=64, kv_heads=8, d_ff=28_672, vocab_size=128_256,
        tied=False, gated=True,
    )  # fmt: skip
    assert llama.params == 70_553_706_496  # the published checkpoint's count
    assert llama.head_dim == 128
    assert 3 * 80 * 8192 * 28_672 == approx(56.3e9, rel=2e-3)
    assert llama.embedding_params == approx(2.1e9, rel=2e-3)
    assert llama.params - llama.active_params == 128_256 * 8192
    # 2 bytes, keys and values, 80 layers, 8 heads of 128.
    assert llama.kv_cache_bytes(1) == 2 * 2 * 80 * 8 * 128


def test_kv_cache_of_llama_2_13b():
    llama = TransformerShape(
        d_model=5120, layers=40, heads=40, kv_heads=40, d_ff=13_824, vocab_size=32_000,
        tied=False, gated=True,
    )  # fmt: skip
    assert llama.kv_cache_bytes(8192) == approx(6.7109e9, rel=1e-5)


def test_training_flops_are_near_6nd_and_attention_is_counted_twice_over():
    shape = sardana(2560, 20, 32)
    assert shape.train_flops(1) / (6 * shape.params) == approx(1.0, rel=2e-3)
    full, causal = (shape.train_flops(4096, causal=each) for each in (False, True))
    attention = 3 * 4 * 32 * 2560 * 4096
    assert full - causal == approx(attention / 2, rel=1e-3)


def test_shapes_are_continuous_and_vectorised():
    shape = sardana(768, 12, 12)
    count = lambda width: dataclasses.replace(shape, d_model=width, d_ff=4 * width).params  # noqa: E731
    # d/dd of V d + L (10.5 d² + 2 d) + d
    expected = 100_352 + 12 * (21 * 768 + 2) + 1
    assert jax.grad(count)(768.0) == approx(expected, rel=1e-6)
    assert jax.vmap(count)(jnp.array([768.0, 1536.0])).shape == (2,)


@hypothesis.given(st.floats(2e7, 1e12), st.sampled_from((64, 128)), st.booleans())
def test_a_shape_for_any_size_is_close_and_can_be_built(params, multiple, gated):
    shape = shape_for(params, multiple=multiple, vocab_size=50_304, gated=gated).check()
    assert shape.d_model % multiple == 0
    assert shape.d_ff % multiple == 0
    assert shape.params == approx(params, rel=0.2 if params < 1e9 else 0.03)


def test_a_shape_for_each_of_the_paper_is_close():
    for *like, _ in TABLE_4.values():
        wanted = sardana(*like).params
        assert shape_for(wanted).params == approx(wanted, rel=0.03)


def test_the_size_may_be_a_number_of_any_kind():
    """The size of a plan is an array, in 32-bit of a number that no int32 holds."""
    wanted = shape_for(24_180_000_000)
    for kind in (np.float32, np.float64, jnp.float32, jnp.asarray):
        assert vars(shape_for(kind(2.418e10))) == vars(wanted)
    assert vars(shape_for(1e7, vocab_size=np.int64(256))) == vars(
        shape_for(1e7, vocab_size=256)
    )
    with pytest.raises(ValueError, match=r"params is .*; it must be a positive number"):
        shape_for(jnp.array([1e9, 2e9]))


def test_a_head_size_that_is_given_is_kept():
    assert shape_for(1e6, head_dim=96, vocab_size=256).head_dim == 96
    with pytest.raises(ValueError, match=r"widths of 1600 .* smaller `multiple` or `head_dim`"):
        shape_for(1e6, head_dim=100, vocab_size=256)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"multiple": 0}, "multiple is 0; it must be a positive integer"),
        ({"query_heads_per_kv_head": 0}, "query_heads_per_kv_head is 0; it must be"),
        ({"vocab_size": 0}, "vocab_size is 0; it must be"),
        ({"head_dim": -3}, "head_dim is -3; it must be"),
        ({"d_model_per_layer": 0}, "d_model_per_layer is 0; it must be a positive number"),
    ],
)
def test_what_no_shape_has_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        shape_for(1e9, **change)


def test_bad_shapes_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"kv_heads is 0; it must be a positive integer"):
        dataclasses.replace(sardana(768, 12, 12), kv_heads=0).check()
    with pytest.raises(ValueError, match=r"heads 10; heads must divide d_model"):
        dataclasses.replace(sardana(768, 12, 12), heads=10).check()
    with pytest.raises(
        ValueError, match=r"params is 1e\+04.*smaller vocabulary or a smaller `multi"
    ):
        shape_for(1e4)
    with pytest.raises(ValueError, match=r"params is nan; it must be a positive number"):
        shape_for(float("nan"))
