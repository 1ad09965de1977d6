"""One optimiser step: the recipe as stated, accumulation, ensembles, the schedule."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.training import RECIPES, train_ensemble
from scaling_jax.training.model import build, next_token_loss
from scaling_jax.training.step import advance, initial_state, smoothed
from tests.support import approx
from tests.training.conftest import CONFIG, SHAPE

WINDOWS = jax.random.randint(jax.random.key(5), (3, 4, 65), 0, 256, dtype=jnp.int32)
SARDANA = RECIPES["sardana"]


def after(config, count=3):
    graph, _ = build(config.shape, config.options, jax.random.key(0))
    step = jax.jit(
        lambda state: advance(
            graph, config.recipe, config.accumulate, config.schedule, state, WINDOWS, count
        )
    )
    return step(initial_state(config.shape, config.options, config.recipe, 0))


@pytest.fixture(scope="module")
def plain():
    return after(CONFIG)


def test_accumulation_is_the_big_batch(plain):
    """Gradients agree; Lion takes only their signs, so compare the losses that follow."""
    parts = after(dataclasses.replace(CONFIG, accumulate=2))
    np.testing.assert_allclose(parts[1].loss, plain[1].loss, rtol=1e-5)
    np.testing.assert_allclose(parts[1].grad_norm, plain[1].grad_norm, rtol=1e-4)


def test_fewer_steps_than_windows_leave_the_rest(plain):
    state, metrics = after(CONFIG, count=2)
    assert int(state.step) == 2
    np.testing.assert_array_equal(metrics.loss[:2], plain[1].loss[:2])
    assert np.isnan(metrics.loss[2])
    np.testing.assert_array_equal(state.recent[-2:], metrics.loss[:2])


def test_the_smoothed_loss_of_few_steps_is_their_mean(plain):
    state, metrics = plain
    assert smoothed(state.recent, 3) == approx(np.mean(metrics.loss), rel=1e-6)
    many = np.arange(20.0, 40.0).reshape(2, 10)
    np.testing.assert_array_equal(smoothed(jnp.asarray(many), 100), [24.5, 34.5])


def test_lion_as_the_paper_states_it():
    """First step: p - rate (sign(gradient) + p), the weight decay equal to the rate."""
    state = initial_state(SHAPE, CONFIG.options, CONFIG.recipe, 0)
    graph, _ = build(CONFIG.shape, CONFIG.options, jax.random.key(0))
    gradient = jax.grad(lambda p: next_token_loss(graph, p, WINDOWS[0]))(state.params)
    moved, _ = after(CONFIG, count=1)
    rate = float(CONFIG.schedule.rate(0, SARDANA.final_fraction))
    assert rate == approx(2**-1.5 / 16 / CONFIG.schedule.warmup_steps, rel=1e-6)
    for before, g, now in zip(
        *map(jax.tree.leaves, (state.params, gradient, moved.params)), strict=True
    ):
        np.testing.assert_allclose(now, before - rate * (np.sign(g) + before), atol=1e-6)


def test_schedule_warms_up_and_ends_at_a_tenth_of_the_peak():
    schedule = CONFIG.schedule
    warmup, steps, peak = schedule.warmup_steps, schedule.steps, 2**-1.5 / 16
    assert warmup == round(3 * CONFIG.shape.params / CONFIG.step_tokens)
    rates = np.asarray(schedule.rate(np.arange(steps), 0.1))
    np.testing.assert_allclose(rates[:warmup], peak * np.arange(1, warmup + 1) / warmup, 1e-5)
    assert np.all(np.diff(rates[warmup:]) < 0)
    assert rates[warmup - 1] == approx(peak, rel=1e-6)
    assert rates[-1] == approx(peak / 10, rel=1e-4)
    middle = warmup - 1 + (steps - warmup) // 2
    assert rates[middle] == approx(peak * 0.55, rel=2e-2)


def test_a_short_run_warms_up_over_a_stated_share():
    short = dataclasses.replace(CONFIG, tokens=CONFIG.shape.params * 5)
    assert short.schedule.warmup_steps == round(0.3 * short.steps)


@pytest.mark.parametrize("name", RECIPES)
def test_peaks_are_the_sources(name):
    printed = {"sardana": (768, 4.603e-4), "narrow": (768, 4.603e-4 / 4), "adamw": (768, 6e-4)}
    width, peak = printed[name]
    shape = dataclasses.replace(CONFIG.shape, d_model=width)
    assert RECIPES[name].peak_learning_rate(shape) == approx(peak, rel=1e-3)


def test_an_ensemble_is_its_members_runs(corpus, finished):
    record, _ = finished
    members = train_ensemble(CONFIG, corpus, seeds=[0, 1], peak_learning_rates=None)
    slow = train_ensemble(
        CONFIG, corpus, seeds=np.arange(1), peak_learning_rates=np.array([1e-4])
    )
    assert members[0].train_loss == approx(record.train_loss, rel=2e-3)
    assert members[0].heldout_tokens == record.heldout_tokens
    assert members[0].loss == approx(record.loss, rel=2e-3)
    assert members[0].loss != members[1].loss
    assert slow[0].loss > members[0].loss + 0.1
    with pytest.raises(ValueError, match="2 seeds and 1 learning rates"):
        train_ensemble(CONFIG, corpus, seeds=[0, 1], peak_learning_rates=[1e-3])
