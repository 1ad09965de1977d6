"""Intervals, resampled laws, profiles, spectrum."""

import jax
import numpy as np
import pytest
from scipy import stats

from scaling_jax.fitting import fit, profile, resampling
from scaling_jax.fitting.resampling import student_quantile
from scaling_jax.laws import HOFFMANN_2022, Chinchilla


def width(ends):
    return np.log(ends[1] / ends[0])


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 42, 235])
def test_students_quantile_against_scipy(freedom):
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_resampled_laws_are_reproducible_and_bracket_the_law(planted):
    runs = planted(noise=0.005)
    first, second = (fit(runs, bootstrap=200, seed=7) for _ in range(2))
    for name, (low, high) in first.intervals.items():
        values = getattr(first.laws, name)
        assert values.shape == (200,)
        assert low < getattr(first.law, name) < high
        np.testing.assert_array_equal(values, getattr(second.laws, name))
        assert np.mean((low <= values) & (values <= high)) == pytest.approx(0.95, abs=0.02)
    assert isinstance(first.laws, Chinchilla)
    assert not np.array_equal(fit(runs, bootstrap=200, seed=8).laws.E, first.laws.E)


def test_three_ways_to_an_interval_agree_where_the_optimum_is_round(planted):
    fitted = fit(planted(noise=0.003), delta=None, bootstrap=400)
    curved = fit(planted(noise=0.003), delta=None)
    profiles = profile(curved)
    cases = fit(planted(noise=0.003), delta=None, bootstrap=400, resample="runs")
    for name, ends in curved.intervals.items():
        assert width(fitted.intervals[name]) == pytest.approx(width(ends), rel=0.25)
        assert width(profiles[name].interval) == pytest.approx(width(ends), rel=0.1)
        assert width(cases.intervals[name]) == pytest.approx(width(ends), rel=0.4)


def test_curvature_against_least_squares_theory(planted):
    runs = planted(noise=0.003)
    fitted = fit(runs, delta=None)
    with jax.enable_x64(True):
        rows = jax.jacfwd(lambda law: jax.numpy.log(law(runs.params, runs.tokens)))(fitted.law)
        jacobian = np.stack([np.asarray(leaf) for leaf in jax.tree.leaves(rows)], axis=1)
    variance = np.sum(fitted.residuals**2) / (36 - 5)
    errors = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)) * variance)
    t = stats.t.ppf(0.975, 31)
    for (name, ends), error in zip(fitted.intervals.items(), errors, strict=True):
        value = getattr(fitted.law, name)
        if name == "E":
            assert ends == pytest.approx((value - t * error, value + t * error), rel=1e-6)
        else:
            assert width(ends) == pytest.approx(2 * t * error / value, rel=1e-4)


def test_intervals_hold_the_truth_about_as_often_as_they_say(planted):
    held = []
    for seed in range(40):
        ends = fit(planted(noise=0.01, seed=seed), bootstrap=100, seed=seed).intervals
        held.append(
            [low <= getattr(HOFFMANN_2022, name) <= high for name, (low, high) in ends.items()]
        )
    assert np.mean(held) > 0.88  # 95 % within three standard errors


def test_groups_widen_the_intervals(planted):
    runs = planted()
    labels = np.repeat(np.arange(12), 3)
    shared = 0.01 * np.random.default_rng(0).standard_normal(12)[labels]
    runs = runs.with_columns(loss=runs.loss * np.exp(shared))
    alone = fit(runs, bootstrap=300).intervals
    for resample in ("residuals", "runs"):
        grouped = fit(
            runs.with_columns(group=labels), bootstrap=300, resample=resample
        ).intervals
        assert np.mean([width(grouped[n]) / width(alone[n]) for n in ("alpha", "beta")]) > 1.1


def test_groups_of_one_are_no_groups(planted):
    runs = planted(noise=0.01)
    named = runs.with_columns(group=np.array([f"run {i:02}" for i in range(36)]))
    assert fit(named, bootstrap=50).intervals == fit(runs, bootstrap=50).intervals


@pytest.mark.parametrize("resample", ["residuals", "runs"])
def test_resamples_drawn_part_by_part_are_the_same_kind(planted, monkeypatch, resample):
    runs = planted(noise=0.01)
    told = []
    whole = fit(runs, bootstrap=48, resample=resample)
    monkeypatch.setattr(resampling, "_NUMBERS", 64 * 20)
    parts = fit(runs, bootstrap=48, resample=resample, progress=lambda *at: told.append(at))
    assert len(parts.laws.E) == 48
    assert told[-1] == (48, 48)
    assert sorted(told) == told
    assert parts.law.E == whole.law.E
    spread = [np.std(np.log(each.laws.alpha)) for each in (whole, parts)]
    assert spread[1] == pytest.approx(spread[0], rel=0.5)


def test_bootstrap_needs_freedom(planted):
    runs = planted(noise=0.01).where([0, 5, 14, 21, 35])
    with pytest.raises(ValueError, match="bootstrap needs more of them"):
        fit(runs, bootstrap=10)
    with pytest.raises(ValueError, match="leave no freedom"):
        profile(fit(runs))
    with pytest.raises(ValueError, match="5 runs are too few to draw them anew"):
        fit(runs, bootstrap=10, resample="runs")
    one = planted(noise=0.01, group=np.array(["a"] * 36))
    with pytest.raises(ValueError, match=r"1 groups are too few .* need 8 at least"):
        fit(one, bootstrap=10, resample="runs")
    with pytest.raises(ValueError, match="points is 0"):
        profile(fit(planted()), points=0)
    assert fit(runs).intervals["alpha"] == (0.0, np.inf)


def test_profile_is_the_best_objective_at_each_value(planted):
    runs = planted(noise=0.01)
    fitted = fit(runs)
    curve = profile(fitted, points=6)["alpha"]
    assert np.all(np.diff(curve.values) > 0)
    assert curve.objective.min() == pytest.approx(fitted.objective, rel=1e-9)
    best = int(np.argmin(curve.objective))
    assert curve.values[best] == pytest.approx(fitted.law.alpha, rel=1e-6)
    assert np.all(np.diff(curve.objective[best:]) > 0)
    assert np.all(np.diff(curve.objective[: best + 1]) < 0)
    low, high = curve.interval
    assert low < fitted.law.alpha < high


def test_profile_of_the_papers_runs_is_open_towards_no_floor(sardana):
    low, high = profile(fit(sardana))["E"].interval
    assert low == 0.0
    assert 1.7 < high < 2.2


def test_spectrum_tells_a_line_from_a_fan(planted):
    params = np.repeat(np.geomspace(5e7, 5e9, 6), 6)
    line = fit(planted(noise=0.003, params=params, tokens=20 * params))
    fan = fit(planted(noise=0.003))
    assert fan.spectrum.shape == (5,)
    assert fan.condition_number < 1e3
    assert line.condition_number > 100 * fan.condition_number


def test_progress_is_told_of_all_resamples(planted):
    told = []
    fit(
        planted(noise=0.01),
        bootstrap=50,
        progress=lambda done, total: told.append((done, total)),
    )
    assert {total for _, total in told} == {50}
    assert max(done for done, _ in told) == 50
    assert len(told) > 1
