"""What every law with further axes promises: falls, inverts, compiles, goes to JSON."""

import dataclasses

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax._axes import law_axes
from scaling_jax._pytree import fields_with_domain
from scaling_jax.costs import DistilledFlops
from scaling_jax.laws.downstream import TaskError, TopOneError
from scaling_jax.laws.experts import Leverage
from scaling_jax.laws.overfitted import Overfitted
from scaling_jax.laws.precision import Kumar, PostTrainingQuantised
from scaling_jax.laws.samples import PassAtK, Samples
from scaling_jax.laws.schedules import Schaipp
from scaling_jax.laws.shape import Gemstones
from tests.conftest import X64, needs_x64
from tests.support import approx

HOFFMANN = laws.HOFFMANN_2022
COUPLED = sj.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5)
OVERFITTED = Overfitted(base=HOFFMANN, P=1e-3, delta=1.3, kappa=0.4)

# Coefficients of laws that none are published for, and modifiers around other laws.
OWN = {
    "overfitted": OVERFITTED,
    "leverage": Leverage(base=COUPLED),
    "gemstones": Gemstones(
        E=0.4, W=4.0, omega=0.4, H=1.0, eta=0.5, A=400.0, alpha=0.34, B=410.0, beta=0.28
    ),
    "schaipp": Schaipp(
        E=1.5, A=400.0, alpha=0.34, B=30.0, beta=0.35, C=40.0, gamma=0.4
    ),
    "samples": Samples(base=HOFFMANN, G=0.3, gamma=0.5),
    "pass at k": PassAtK(
        base=COUPLED, theta0=2.5, theta1=2.0, theta2=0.9, theta3=0.5, theta4=-0.2
    ),
    "task error": TaskError(base=HOFFMANN, a=0.75, k=3.0, L0=2.2, b=0.95),
    "top-1 error": TopOneError(base=HOFFMANN, epsilon=0.9, k=1.8, gamma=0.6),
    "served coupled": PostTrainingQuantised(base=COUPLED),
    "samples of repeated": Samples(base=laws.MUENNIGHOFF_2023, G=0.3, gamma=0.5),
    "task error of few bits": TaskError(
        base=PostTrainingQuantised(base=Kumar(base=HOFFMANN)), a=0.75, k=3.0, L0=2.2, b=0.95
    ),
}  # fmt: skip
ALL = {
    name: each.law
    for name, each in laws.PUBLISHED.items()
    if law_axes(each.law).required or name in {"busbridge2025", "olmo2024-ladder"}
} | OWN
# One of each family and its nesting: the others differ in their numbers.
TWINS = {
    *("clark2022-rl-r", "clark2022-s-base", "chen2025-w4a16", "chen2025-w16a4"),
    *("quest2025-no-hadamard", "parscale2025-python"),
}
LAWS = pytest.mark.parametrize("name", [name for name in ALL if name not in TWINS])

VALUES = {
    "unique_tokens": 2e10,
    "train_bits": 8.0,
    "serve_bits": 4.0,
    "group_size": 128.0,
    "sparsity": 0.5,
    "experts": 16.0,
    "active_experts": 2.0,
    "granularity": 8.0,
    "parallel_streams": 4.0,
    "teacher_loss": 2.2,
    "width": 1024.0,
    "depth": 16.0,
    "vocab_size": 32_000.0,
    "batch_tokens": 1e6,
    "samples": 10.0,
}


def axes_of(law):
    return {name: VALUES[name] for name in law_axes(law).required}


SIZES = st.floats(6, 12).map(lambda x: 10.0**x)
RISES_IN_PARAMS = {"overfitted"}
SLACK = 1e-11 if X64 else 2e-5


@LAWS
@settings(max_examples=6, deadline=None)
@given(params=SIZES, tokens=SIZES, factor=st.floats(1.5, 100))
def test_losses_fall_in_params_and_in_tokens_as_far_as_the_law_says(
    name, params, tokens, factor
):
    law, axes = ALL[name], axes_of(ALL[name])
    loss = law(params, tokens, **axes)
    if name not in RISES_IN_PARAMS:
        assert law(params * factor, tokens, **axes) <= loss + SLACK * abs(loss)
    end = float(law.falls_until(params, **axes))
    if tokens * factor <= end:
        assert law(params, tokens * factor, **axes) <= loss + SLACK * abs(loss)
    elif end <= tokens:
        assert law(params, tokens * factor, **axes) >= loss - SLACK * abs(loss)


FALLING = [
    # (law, axis, low, high): the loss falls as the axis grows from low to high
    ("kumar2024", "train_bits", 3.2, 16),
    ("kumar2024-served", "serve_bits", 1, 16),
    ("kumar2024-served", "train_bits", 3.2, 16),
    ("quest2025", "train_bits", 1, 8),
    ("ludziejewski2025", "experts", 1, 32),
    ("krajewski2024", "granularity", 1, 64),
    ("clark2022-hash", "experts", 1, 512),
    ("parscale2025-pile", "parallel_streams", 1, 64),
    ("muennighoff2023", "unique_tokens", 1e8, 1e13),
    ("frantar2023", "sparsity", 0, 0.99),
    ("samples", "samples", 1, 1e6),
    ("pass at k", "samples", 1, 1e6),
    ("gemstones", "width", 10, 1e5),
    ("gemstones", "depth", 1, 1e3),
    ("tao2024", "vocab_size", 1e3, 1e6),
    ("overfitted", "unique_tokens", 1e8, 1e13),
    ("bian2025", "depth", 1, 1e3),
]


@pytest.mark.parametrize(("name", "axis", "low", "high"), FALLING)
@settings(max_examples=10, deadline=None)
@given(share=st.floats(0, 1), step=st.floats(0.01, 1))
def test_losses_fall_in_the_axes_that_help(name, axis, low, high, share, step):
    law, axes = ALL[name], axes_of(ALL[name])
    first = low + (high - low) * share
    second = first + (high - first) * step
    sizes = (3e8, 1e11)
    before, after = (law(*sizes, **axes | {axis: x}) for x in (first, second))
    assert after <= before + SLACK * abs(before)


@needs_x64
@pytest.mark.parametrize(
    ("name", "axis", "low", "high"),
    [
        ("busbridge2025-distilled", "teacher_loss", 1.3, 2.6),
        ("schaipp", "batch_tokens", 1e3, 1e9),
    ],
)
def test_axes_of_which_the_middle_is_best(name, axis, low, high):
    law = ALL[name]
    losses = law(3e8, 1e11, **{axis: np.geomspace(low, high, 50)})
    assert 0 < np.argmin(losses) < 49


@needs_x64
@LAWS
def test_inversions_undo_the_loss(name):
    law, axes = ALL[name], axes_of(ALL[name])
    params, tokens = 2e8, 8e10
    loss = law(params, tokens, **axes)
    if name not in RISES_IN_PARAMS:
        again = law.params_for(loss, tokens, **axes)
        assert law(again, tokens, **axes) == approx(loss, 1e-10)
        assert again == approx(params, 1e-6)
    reads_tokens = law(params, 2 * tokens, **axes) != loss
    if reads_tokens and tokens < law.falls_until(params, **axes):
        assert law.tokens_for(loss, params, **axes) == approx(tokens, 1e-6)
    # What no model reaches is NaN, also of the laws that state closed inverses.
    assert jnp.isnan(law.tokens_for(-50.0, params, **axes))


@needs_x64
@LAWS
def test_the_power_sum_at_given_axes_is_the_law(name):
    law, axes = ALL[name], axes_of(ALL[name])
    power = law.as_power_sum(**axes)
    if power is None:
        return
    for params, tokens in [(1e6, 1e13), (3e8, 1e11), (1e12, 1e9)]:
        loss = law(params, tokens, **axes)
        assert power(params, tokens) == approx(loss, 1e-12)
        assert power.loss_at(power.log_excess(loss)) == approx(loss, 1e-12)
    best = power.compute_optimal(train_flops=1e21)
    others = best.params * np.array([0.8, 0.97, 1.03, 1.2])
    least = law(best.params, best.tokens, **axes)
    assert np.all(law(others, 1e21 / 6 / others, **axes) >= least)


COLLAPSE = [
    "kumar2024", "quest2025", "frantar2023", "ludziejewski2025", "krajewski2024", "bian2025",
    "tao2024", "kaplan2020-steps", "gemstones", "schaipp", "samples", "task error",
    "top-1 error",
]  # fmt: skip


@pytest.mark.parametrize("name", COLLAPSE)
def test_these_laws_keep_exact_plans(name):
    assert ALL[name].as_power_sum(**axes_of(ALL[name])) is not None


@LAWS
def test_every_law_jits_vmaps_and_broadcasts(name, float_dtype):
    law, axes = ALL[name], axes_of(ALL[name])
    tree = jax.tree.map(jnp.asarray, law)
    direct = law(1e9, 1e11, **axes)
    assert direct.dtype == float_dtype
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), tree)
    batch = jax.jit(jax.vmap(lambda law: law(1e9, 1e11, **axes)))(stacked)
    np.testing.assert_allclose(batch, np.full(3, direct), rtol=1e-12 if X64 else 1e-5)
    many = {axis: np.full((3, 4), value) for axis, value in axes.items()}
    assert law(np.full((3, 4), 1e9), np.full((3, 4), 1e11), **many).shape == (3, 4)
    assert law(np.full((3, 4), 1e9), 1e11, **axes).shape == (3, 4)
    assert law(1e9, np.full((3, 4), 1e11), **axes).shape == (3, 4)
    ends = law.falls_until(np.full((3, 4), 1e9), **axes)
    assert jnp.shape(ends) in {(), (3, 4)}
    whole = {axis: int(value) for axis, value in axes.items() if value >= 1}
    assert law(10**9, 10**11, **axes | whole).dtype == float_dtype


@LAWS
@pytest.mark.parametrize("bits", [32, 64])
def test_gradients_are_finite_at_extreme_sizes(name, bits):
    law, axes = ALL[name], axes_of(ALL[name])
    if bits == 64 and not X64:
        pytest.skip("a statement about 64-bit numbers")
    dtype = np.dtype(f"float{bits}")
    sizes = jnp.asarray([1e0, 1e5, 1e9, 1e18], dtype)
    point = [x.ravel() for x in jnp.meshgrid(sizes, sizes)]
    assert law(*point, **axes).dtype == dtype  # coefficients are Python numbers
    law, axes = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (law, axes))

    def total(law, axes, params, tokens):  # one point that is not finite spoils it
        return jnp.sum(law(params, tokens, **axes))

    for leaf in jax.tree.leaves(jax.grad(total, (0, 1, 2, 3))(law, axes, *point)):
        assert leaf.dtype == dtype
        assert jnp.all(jnp.isfinite(leaf))


@needs_x64
@LAWS
def test_gradients_are_right(name):
    law, axes = ALL[name], axes_of(ALL[name])
    point = dict(axes, log_params=np.log(4e8), log_tokens=np.log(7e10))

    def loss(point):
        rest = {key: x for key, x in point.items() if not key.startswith("log_")}
        return law.loss_at_log(point["log_params"], point["log_tokens"], **rest)

    gradient = jax.grad(loss)(point)
    for key, x in point.items():
        if name == "sun2025" and key == "train_bits":
            continue  # whole exponent bits: steps
        step = 1e-5 * abs(x)
        # From above at the knees of tables, and from below at a sparse share.
        central = (loss(point | {key: x + step}) - loss(point | {key: x - step})) / (2 * step)
        if not (name.startswith("quest") and key == "train_bits"):
            assert gradient[key] == approx(central, 1e-5, 1e-9 / max(abs(x), 1.0))


@pytest.mark.parametrize("name", ALL)
def test_json_round_trip(name, tmp_path):
    law = ALL[name]
    known = laws.PUBLISHED.get(name) or laws.Sourced(
        law=law, subject="a subject", source="here"
    )
    laws.save(known, tmp_path / "law.json")
    again = laws.load_sourced(tmp_path / "law.json")
    assert jax.tree.structure(again.law) == jax.tree.structure(law)
    assert laws.coefficients(again.law) == laws.coefficients(law)
    assert (again.subject, again.source, again.caveat) == (
        known.subject,
        known.source,
        known.caveat,
    )
    assert again.valid == known.valid
    assert law_axes(again.law) == law_axes(law)


def test_every_published_law_says_what_it_is_about_and_keeps_its_domains():
    for name, each in laws.PUBLISHED.items():
        assert each.subject, name
        assert each.source, name
        for path, value, domain in fields_with_domain(each.law, ""):
            assert domain.contains(value), (name, path)
    for kind in laws.FAMILIES.values():
        assert kind.__doc__
        assert not kind.__abstractmethods__, kind


def test_every_family_is_tried_here():
    def kinds(law):
        parts = [x for x in vars(law).values() if isinstance(x, sj.Law)]
        return {type(law)}.union(*map(kinds, parts))

    tried = set().union(*map(kinds, ALL.values()))
    elsewhere = {laws.Mixture, laws.Kaplan}
    # Not those of wider.py, nor what a command has registered from a file of its user.
    modules = {x: x.__module__ for x in laws.FAMILIES.values()}
    own = {x for x, name in modules.items() if name.startswith("scaling_jax.")}
    own -= {x for x, name in modules.items() if name == "scaling_jax.laws.wider"}
    assert own - tried - elsewhere == set()


# --- modifiers --------------------------------------------------------------------------


def test_axes_of_nested_laws_come_through():
    law = TaskError(
        base=PostTrainingQuantised(base=Kumar(base=laws.MUENNIGHOFF_2023)),
        a=0.7,
        k=3.0,
        L0=2.2,
        b=1.0,
    )
    axes = law_axes(law)
    assert set(axes.required) == {"train_bits", "serve_bits", "unique_tokens"}
    assert set(axes.optional) == {"train_activation_bits", "train_kv_bits"}
    given = dict(train_bits=8.0, serve_bits=4.0, unique_tokens=1e10)
    inner = law.base.base.base
    worth = jnp.exp(law.base.base.log_worth(train_bits=8.0))
    loss = inner(1e9 * worth, 1e11, unique_tokens=1e10)
    loss += (
        law.base.C_T
        * 1e11**law.base.gamma_D
        / (1e9 * worth) ** law.base.gamma_N
        * np.exp(-4 / law.base.gamma_P)
    )
    assert law(1e9, 1e11, **given) == approx(law.seen(loss), 1e-5)
    # Around one another in any order, and with an axis that both read.
    twice = Overfitted(base=OVERFITTED, P=1e-3, delta=1.3, kappa=0.4)
    penalty = OVERFITTED(1e9, 1e11, unique_tokens=1e10) - HOFFMANN(1e9, 1e11)
    assert twice(1e9, 1e11, unique_tokens=1e10) == approx(
        HOFFMANN(1e9, 1e11) + 2 * penalty, 1e-5
    )
    with pytest.raises(TypeError, match="train_bits"):
        law(1e9, 1e11, serve_bits=4.0, unique_tokens=1e10)


@needs_x64
@pytest.mark.parametrize(
    ("law", "axes"),
    [
        (PostTrainingQuantised(base=HOFFMANN), {"serve_bits": 3.0}),
        (
            PostTrainingQuantised(base=Kumar(base=HOFFMANN)),
            {"serve_bits": 3.0, "train_bits": 8.0},
        ),
        (PostTrainingQuantised(base=COUPLED), {"serve_bits": 3.0}),
        (OVERFITTED, {"unique_tokens": 1e9}),
        (laws.PUBLISHED["sun2025"].law, {"train_bits": 4.0}),
    ],
)
def test_a_law_turns_where_it_says(law, axes):
    end = law.falls_until(1e9, **axes)
    assert 1e9 < end < 1e18
    slope = jax.grad(lambda d: law.loss_at_log(np.log(1e9), d, **axes))
    assert slope(jnp.log(end)) == approx(0.0, 0, 1e-9)
    assert slope(jnp.log(end) - 0.1) < 0 < slope(jnp.log(end) + 0.1)
    # The tokens that training reaches first, though more of them reach the same loss.
    loss = law(1e9, end / 10, **axes)
    assert law.tokens_for(loss, 1e9, **axes) == approx(end / 10, 1e-6)
    assert jnp.isnan(law.tokens_for(law(1e9, end, **axes) - 1e-3, 1e9, **axes))


def test_repeats_that_harm_at_once():
    law = dataclasses.replace(OVERFITTED, delta=0.5)
    assert law.falls_until(1e9, unique_tokens=1e10) == approx(1e10, 1e-6)
    assert law(1e9, 5e9, unique_tokens=1e10) == approx(HOFFMANN(1e9, 5e9), 1e-6)


@needs_x64
def test_batches_near_the_best_one():
    law = OWN["schaipp"]
    best = law.best_batch(1e11)
    around = best * np.array([0.5, 0.99, 1.01, 2.0])
    assert np.all(law(1e9, 1e11, batch_tokens=around) > law(1e9, 1e11, batch_tokens=best))
    small, large = law.batch_interval(1e11, extra_tokens=0.05)
    assert small < best < large
    for batch in (small, large):
        assert law(1e9, 1.05e11, batch_tokens=batch) == approx(
            law(1e9, 1e11, batch_tokens=best), 1e-12
        )
    growth = law.best_batch(1e12) / best
    assert growth == approx(10 ** (law.gamma / (law.beta + law.gamma)), 1e-9)


@needs_x64
def test_the_warm_up_is_part_of_the_multi_power_law():
    from scaling_jax.laws.schedules import MULTI_POWER

    law = MULTI_POWER["luo2025-100m"].law
    rates = 3e-4 * np.minimum(np.arange(1, 6001) / 2160, 1.0)
    rates[4000:] = 1e-4
    total, sums = rates.sum(), np.cumsum(rates)
    before = np.concatenate([[0.0], rates[:-1]])
    since = total - (sums - rates)
    gained = 1 - (1 + law.C * since / rates**law.gamma) ** -law.beta
    expected = law.L0 + law.A / total**law.alpha + law.B * np.sum((rates - before) * gained)
    assert law(rates) == approx(expected, 1e-12)
    np.testing.assert_allclose(law(rates, np.array([3000, 6000]))[1], expected, rtol=1e-12)
    assert law(rates, 3000) == approx(law(rates[:3000]), 1e-12)
    gradient = jax.grad(law)(jnp.asarray(np.append(rates, 0.0)))
    assert np.all(np.isfinite(gradient))


@needs_x64
def test_a_target_of_accuracy_is_planned_for_as_a_loss_is():
    law = OWN["task error"]
    exact = sj.plan(law.as_power_sum(), sj.Flops(), sj.Demand(output_tokens=1e12), loss=0.2)
    loss = law.unseen(0.2)
    by_loss = sj.plan(HOFFMANN, sj.Flops(), sj.Demand(output_tokens=1e12), loss=loss)
    assert exact.params == approx(by_loss.params, 1e-9)
    assert law(exact.params, exact.tokens) == approx(0.2, 1e-9)


@needs_x64
def test_a_better_teacher_is_worth_its_price_only_up_to_a_point():
    law, demand = ALL["busbridge2025-distilled"], sj.Demand(output_tokens=1e12)
    student, tokens = 1e9, 1e11
    cost = DistilledFlops(teacher_params=7e9, teacher_tokens=2e11)
    bill = cost(student, tokens, demand)
    assert bill.train == approx(6 * 1e20 + 2 * 7e20 + 6 * 7e9 * 2e11, 1e-12)
    assert bill.serve == approx(2e21, 1e-12)
    exists = dataclasses.replace(cost, teacher_tokens=0.0, stored=1 - 1e-9)
    assert exists(student, tokens, demand).train == approx(6e20, 1e-6)
    # A student of an existing teacher beats the same model trained alone, of a poor one not.
    alone = law.base(student, tokens)
    assert (
        law(student, tokens, teacher_loss=2.0) < alone < law(student, tokens, teacher_loss=2.6)
    )
