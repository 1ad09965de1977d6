"""`compare`: what is held out, who gets weight, and what a mixture says of its doubt."""

import jax
import numpy as np
import pytest

from scaling_jax.comparing import compare, lack_of_fit, predict, stacking
from scaling_jax.comparing.toward import along, origins
from scaling_jax.costs import Demand, Flops
from scaling_jax.fitting import fit
from scaling_jax.laws import BoundedRational, Chinchilla, Coupled, Kaplan, Mixture, Tied
from scaling_jax.planning import intervals
from scaling_jax.runs import CPU47, Runs

FEW = (Chinchilla, Tied, Coupled)


@pytest.fixture(scope="module")
def few():
    return compare(CPU47, FEW, toward="train_flops", bootstrap=80)


def test_predictions_are_those_of_fits_to_the_runs_below(few):
    """The oracle: a fit of its own, from its own starts, to the runs below an origin."""
    for member, family in ((few["coupled"], Coupled), (few["chinchilla"], Chinchilla)):
        for row, below in zip(member.errors, few.below, strict=True):
            assert np.isnan(row[below]).all()
            alone = fit(CPU47.where(below), family, diagnose=False)
            with jax.enable_x64(True):
                loss = np.asarray(alone.law(CPU47.params, CPU47.tokens))
            expected = (loss / CPU47.loss - 1)[~below]
            np.testing.assert_allclose(row[~below], expected, atol=2e-5)
    pairs = zip(few["tied"].errors, few.below, strict=True)
    direct = np.mean([np.abs(row[~below]).mean() for row, below in pairs])
    assert few["tied"].holdout_error == pytest.approx(direct)


def test_what_is_above_an_origin_is_further(few):
    for toward in ("tokens_per_param", "params", "corner", (1e9, 1e11)):
        distance = along(CPU47, toward)
        for below in origins(distance, np.ones(47, bool), (0.3, 0.6, 0.9), 6):
            assert distance[below].max() < distance[~below].min()
    near = along(CPU47, (CPU47.params[3], CPU47.tokens[3]))
    assert np.argmax(near) == 3


def test_the_runs_above_cannot_move_what_is_fitted_below(few):
    changed = CPU47.loss * np.where(few.below[0], 1.0, 1.2)
    other = compare(CPU47.with_columns(loss=changed), [Coupled], toward="train_flops")
    above = ~few.below[0]
    expected = (few["coupled"].errors[0, above] + 1) / 1.2 - 1
    np.testing.assert_allclose(other["coupled"].errors[0, above], expected, atol=2e-5)


def test_weights(few):
    assert sum(few.weights.values()) == pytest.approx(1.0)
    errors = {each.name: each.holdout_error for each in few.members}
    best = min(errors, key=lambda name: errors[name])
    assert max(few.weights, key=lambda name: few.weights[name]) == best
    assert isinstance(few.mixture.law, Mixture)
    assert few.mixture.law.weights == tuple(few.weights.values())
    assert few.mixture.valid.params == (CPU47.params.min(), CPU47.params.max())


def test_rules_of_the_weights():
    rng = np.random.default_rng(0)
    errors = 0.01 * rng.standard_normal((4, 3, 40))
    errors[2] *= 1.5
    errors[3] *= 8.0
    freedom = np.array([5.0, 1.2, 5.0, 5.0])
    found = stacking.weights(errors, freedom)
    assert found[0] > found[2] > 0
    assert found[1] == found[3] == 0  # too many coefficients; grossly worse
    few_held_out = np.full_like(errors, np.nan)
    few_held_out[..., :2] = errors[..., :2]
    few_held_out[2, :, :2] = 1.5 * few_held_out[0, :, :2]
    sharp = errors.copy()
    sharp[2] = 1.5 * sharp[0]
    of_few, of_many = (stacking.weights(each, freedom) for each in (few_held_out, sharp))
    assert of_few[2] > 2 * of_many[2] > 0
    nothing = stacking.weights(np.empty((3, 0, 40)), np.array([2.0, 0.0, 1.8]))
    assert nothing.tolist() == [0.5, 0.0, 0.5]
    missing = errors.copy()
    missing[0, 0] = np.nan  # too few runs there
    assert stacking.weights(missing, freedom)[0] > 0.5
    spoiled = errors.copy()
    spoiled[0, 2, 5] = np.inf
    assert stacking.weights(spoiled, freedom)[0] == 0


def test_draws_are_of_one_family_each_by_its_weight(few):
    shares = np.stack(few.mixture.resampled.weights)
    assert (shares.max(axis=0) == 1.0).all()
    assert (shares.sum(axis=0) == 1.0).all()
    within = [each for each in few.members if each.weight > 0]
    errors = np.array([each.errors for each in within])
    drawn = stacking.drawn(errors, 2000, np.random.default_rng(0))
    often = np.bincount(drawn, minlength=len(within)) / 2000
    np.testing.assert_allclose(often, list(few.weights.values()), atol=0.15)


@pytest.mark.slow
def test_intervals_hold_what_the_families_say_apart():
    """Far beyond the runs they part, and the mixture's interval holds each that counts."""
    runs = CPU47.select(max_tokens_per_param=100)
    found = compare(runs, (Kaplan, Coupled), bootstrap=80)
    assert len(found.weights) == 2
    far = Runs(params=[1e7], tokens=[1e12], loss=[1.2])
    told = predict(found, far)
    assert told["mixture"].interval is not None
    low, high = told["mixture"].interval[:, 0]
    assert all(low < told[name].predicted[0] < high for name in found.weights)
    near = predict(found, runs)["mixture"].interval
    assert near is not None
    assert np.median(np.ptp(near, axis=0)) < 0.5 * (high - low)


def test_a_mixture_is_planned_with(few):
    plans = intervals(few.mixture, Flops(), Demand.of_tokens(1e10), loss=1.6)
    assert plans.laws == 80
    low, high = plans.central["params"]
    assert low < high


def test_a_family_that_the_runs_do_not_fix_is_set_aside():
    found = compare(CPU47.where(np.arange(0, 47, 6)), (Tied, BoundedRational))
    assert [each.name for each in found.members] == ["tied"]
    assert "8 runs cannot fix the 9 coefficients" in found.aside["boundedrational"]
    with pytest.raises(ValueError, match="8 runs cannot fix the 9"):
        compare(CPU47.where(np.arange(0, 47, 6)), [BoundedRational])


def test_too_few_runs_to_hold_some_out():
    found = compare(CPU47.where([0, 9, 18, 27, 36, 46]), (Tied, Kaplan))
    assert found.weights == {"tied": 0.5, "kaplan": 0.5}
    assert "too few runs to hold some out" in found.summary
    assert "too few runs to hold some out" in found.warnings[0]
    assert np.isnan(found["tied"].holdout_error)


def test_the_summary_is_two_sentences(few):
    assert few.summary.count(". ") == 1
    with pytest.raises(ValueError, match="no family 'kaplan' was compared; those compared are"):
        few["kaplan"]
    assert str(few) == few.summary
    assert next(iter(few.weights)) in few.summary
    assert lack_of_fit(few["chinchilla"].fitted).p_value == few["chinchilla"].misfit.p_value
