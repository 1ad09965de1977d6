"""What the transformer means: causal, relative, grouped, counted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_jax.shapes import TransformerShape
from scaling_jax.training import ModelOptions
from scaling_jax.training.attention import alibi_bias, alibi_slopes, rotate
from scaling_jax.training.model import Transformer, apply, build, next_token_loss
from tests.support import approx

SHAPE = TransformerShape(
    d_model=32, layers=2, heads=4, kv_heads=2, d_ff=128, vocab_size=64
)  # fmt: skip
PLAIN = ModelOptions()
KEY = jax.random.key(0)
logits = jax.jit(apply, static_argnums=0)
loss = jax.jit(next_token_loss, static_argnums=0)
TOKENS = jax.random.randint(jax.random.key(1), (2, 17), 0, 64, dtype=jnp.int32)


@pytest.mark.parametrize("positions", ["alibi", "rotary"])
def test_no_position_sees_what_comes_later(positions):
    graph, params = build(SHAPE, ModelOptions(positions=positions), KEY)

    def loss_at(scale_T, where):
        def embed(tokens):
            # A factor on the embedding of each position, through the model's own weights.
            model = nnx.merge(graph, params)
            table = model.embedding[...]
            factors = scale_T[: tokens.shape[1]]
            x = table[tokens] * factors[None, :, None]
            bias = None
            if positions == "alibi":
                bias = alibi_bias(SHAPE.heads, tokens.shape[1], x.dtype)
            for block in model.blocks:
                x = block(x, bias)
            return model.norm(x) @ table.T

        return embed(TOKENS)[0, where].sum()

    gradient = jax.jit(jax.grad(loss_at))(jnp.ones((17,), jnp.float32), 8)
    assert np.all(np.asarray(gradient[9:]) == 0.0)
    assert np.all(np.asarray(gradient[:9]) != 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": "rope"}, "positions is 'rope'; it must be 'alibi' or 'rotary'"),
        ({"dtype": "float16"}, "dtype is 'float16'; it must be 'float32' or 'bfloat16'"),
        ({"attention": "flash"}, "attention is 'flash'; it must be None or 'xla' or 'cudnn'"),
    ],
)
def test_an_option_that_is_no_choice_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        ModelOptions(**change)


def test_alibi_slopes():
    assert alibi_slopes(8) == [2.0 ** -(i + 1) for i in range(8)]
    # Press et al.: for 12 heads those of 8, then every other one of 16.
    assert alibi_slopes(12) == alibi_slopes(8) + alibi_slopes(16)[::2][:4]
    assert alibi_slopes(1) == [2.0**-8]


def test_alibi_lowers_scores_by_slope_times_distance():
    """A model with zero queries attends by its bias alone: weights exp(-slope distance)."""
    shape = dataclasses.replace(SHAPE, layers=1, heads=1, kv_heads=1)
    graph, params = build(shape, PLAIN, KEY)
    model = nnx.merge(graph, params)
    attention = model.blocks[0].attention
    table = np.zeros((32, 96), np.float32)
    table[:, 64:] = np.eye(32)  # keys and queries 0, values the input
    attention.inputs[...] = jnp.asarray(table)
    attention.output[...] = jnp.eye(32, dtype=jnp.float32)
    x = jax.random.normal(KEY, (1, 5, 32), jnp.float32)
    out = attention(x, alibi_bias(1, 5, jnp.float32))
    weights = np.exp(-(2.0**-8) * np.arange(4, -1, -1))
    expected = (weights / weights.sum()) @ np.asarray(x[0])
    np.testing.assert_allclose(out[0, -1], expected, rtol=1e-5)


def test_rotary_scores_depend_on_distance_alone():
    q, k = jax.random.normal(KEY, (2, 1, 1, 1, 8), jnp.float32)
    spread = lambda x: rotate(jnp.tile(x, (1, 12, 1, 1)))[0, :, 0]  # noqa: E731
    scores = spread(q) @ spread(k).T
    for distance in (0, 3, 7):
        np.testing.assert_allclose(np.diag(scores, -distance), scores[distance, 0], rtol=1e-4)


def test_grouped_queries_are_multi_head_attention_with_shared_keys():
    """Copying each key-value head for its group of queries gives a multi-head model."""
    graph, params = build(SHAPE, PLAIN, KEY)
    many = dataclasses.replace(SHAPE, kv_heads=SHAPE.heads)
    graph_many, params_many = build(many, PLAIN, KEY)
    group = SHAPE.heads // SHAPE.kv_heads
    copied = jax.tree.map(lambda leaf: leaf, params)
    for block in copied["blocks"].values():
        q, k, v = jnp.split(block["attention"]["inputs"], [32, 48], axis=1)
        spread = lambda x: jnp.repeat(x.reshape(32, -1, 8), group, axis=1).reshape(32, -1)  # noqa: E731
        block["attention"]["inputs"] = jnp.concatenate([q, spread(k), spread(v)], axis=1)
    assert jax.tree.map(jnp.shape, copied) == jax.tree.map(jnp.shape, params_many)
    np.testing.assert_allclose(
        logits(graph, params, TOKENS), logits(graph_many, copied, TOKENS), atol=1e-5
    )


def test_multi_head_attention_is_the_textbook_one():
    shape = dataclasses.replace(SHAPE, kv_heads=SHAPE.heads)
    graph, params = build(shape, ModelOptions(positions="rotary"), KEY)
    attention = nnx.merge(graph, params).blocks[0].attention
    x = jax.random.normal(KEY, (1, 6, 32), jnp.float32)
    q, k, v = (
        part.reshape(1, 6, 4, 8) for part in jnp.split(x @ attention.inputs[...], 3, axis=-1)
    )
    q, k = np.asarray(rotate(q))[0], np.asarray(rotate(k))[0]
    mixed = np.zeros((6, 4, 8))
    for head in range(4):
        for i in range(6):
            score = np.array([q[i, head] @ k[j, head] / np.sqrt(8) for j in range(i + 1)])
            weight = np.exp(score - score.max())
            mixed[i, head] = weight / weight.sum() @ np.asarray(v)[0, : i + 1, head]
    expected = mixed.reshape(6, 32) @ np.asarray(attention.output[...])
    np.testing.assert_allclose(attention(x, None)[0], expected, atol=1e-5)


@pytest.mark.parametrize("change", [dict(remat=True), dict(attention="xla")])
def test_how_it_is_computed_changes_nothing(change):
    graph, params = build(SHAPE, PLAIN, KEY)
    other, _ = build(SHAPE, ModelOptions(**change), KEY)
    value = lambda g: jax.jit(jax.value_and_grad(lambda p: next_token_loss(g, p, TOKENS)))  # noqa: E731
    (one, grad), (two, grad_two) = value(graph)(params), value(other)(params)
    assert one == approx(float(two), rel=1e-6)
    for a, b in zip(jax.tree.leaves(grad), jax.tree.leaves(grad_two), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_bfloat16_is_near_and_keeps_its_parameters_in_32_bit():
    graph, params = build(SHAPE, ModelOptions(dtype="bfloat16"), KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    plain, _ = build(SHAPE, PLAIN, KEY)
    exact = float(loss(plain, params, TOKENS))
    with jax.numpy_dtype_promotion("standard"):  # JAX's own attention adds a bias to scores
        assert logits(graph, params, TOKENS).dtype == jnp.bfloat16
        assert loss(graph, params, TOKENS) == approx(exact, rel=1e-2)


def test_a_seed_draws_the_same_model_in_32_and_in_64_bit():
    drawn = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            _, params = build(SHAPE, PLAIN, jax.random.key(3))
            drawn.append([np.asarray(leaf) for leaf in jax.tree.leaves(params)])
    for one, other in zip(*drawn, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_array_equal(one, other)


VARIANTS = [
    SHAPE,
    dataclasses.replace(SHAPE, tied=False),
    dataclasses.replace(SHAPE, gated=True, d_ff=96),
    TransformerShape(
        d_model=2560, layers=32, heads=20, kv_heads=5, d_ff=10_240, vocab_size=100_352
    ),
    TransformerShape(
        d_model=8192, layers=80, heads=64, kv_heads=8, d_ff=28_672, vocab_size=128_256,
        tied=False, gated=True,
    ),
]  # fmt: skip


@pytest.mark.parametrize("shape", VARIANTS, ids=lambda shape: str(shape.params))
def test_the_shape_counts_the_models_parameters(shape):
    abstract = nnx.eval_shape(lambda: Transformer(shape, PLAIN, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(abstract))
    assert sum(int(np.prod(leaf.shape, dtype=np.int64)) for leaf in leaves) == shape.params


@pytest.mark.parametrize("shape", VARIANTS[:3], ids=["plain", "untied", "gated"])
def test_xla_counts_the_flops_of_the_shape(shape):
    """XLA adds what is no matrix product: norms, softmax, activations, the loss.

    With JAX's attention, which is computed whole: our own leaves out some of what is masked.
    """
    shape = dataclasses.replace(
        shape, d_model=256, heads=4, kv_heads=2, d_ff=shape.d_ff * 8, vocab_size=512
    )
    graph, params = build(shape, ModelOptions(attention="xla"), KEY)
    windows = jnp.zeros((2, 65), jnp.int32)
    forward = jax.jit(lambda p: next_token_loss(graph, p, windows))
    both = jax.jit(jax.grad(lambda p: next_token_loss(graph, p, windows)))
    for function, per_token in (
        (forward, shape.forward_flops(64, causal=False)),
        (both, shape.train_flops(64, causal=False)),
    ):
        counted = function.lower(params).compile().cost_analysis()["flops"]  # pyright: ignore
        assert 1.0 <= counted / (per_token * 2 * 64) < 1.06
