"""Warnings in plain language, and how far a question is from the runs."""

import numpy as np
import pytest

from scaling_jax.fitting import extrapolation, fit
from scaling_jax.laws import Chinchilla, Coupled
from scaling_jax.runs import Runs


def warned(fitted, words):
    return [text for text in fitted.warnings if words in text]


def test_a_good_points_has_no_warnings(planted):
    assert fit(planted(noise=0.003)).warnings == ()


def test_the_papers_full_fit_hangs_on_one_run(sardana):
    (text,) = warned(fit(sardana), "One run decides beta")
    assert "(1.51e+08 params, 1e+04 tokens/param)" in text
    assert "it is 0.161 instead of 0.232" in text


def test_leaving_that_run_out_is_what_the_warning_says(sardana):
    without = fit(sardana.where(np.arange(47) != 11))
    assert without.law.beta == pytest.approx(0.161, abs=5e-4)


def test_the_papers_typical_ratios_lie_in_a_flat_valley(sardana):
    fitted = fit(sardana.select(max_tokens_per_param=250))
    (text,) = warned(fitted, "flat valley")
    assert "E" in text
    assert "alpha" in text


def test_one_ratio_and_one_path(planted):
    params = np.repeat(np.geomspace(5e7, 5e9, 6), 6)
    line = fit(planted(noise=0.003, params=params, tokens=20 * params))
    assert warned(line, "one tokens/param line (about 20)")
    path = fit(planted(noise=0.003, params=params, tokens=1e3 * params**0.8))
    assert warned(path, "one path")


def test_bounds(planted):
    floorless = fit(planted(Chinchilla(E=0.0, A=10.0, alpha=0.1, B=20.0, beta=0.12)))
    assert warned(floorless, "E is at its bound of zero")
    rising = planted()
    rising = rising.with_columns(loss=3 * rising.params**0.02 * rising.tokens**-0.05)
    assert not np.isnan(list(vars(fit(rising).law).values())).any()
    assert fit(rising).warnings
    hard = np.exp(
        np.maximum(*(-0.3 * np.log(c / c.mean()) for c in (rising.params, rising.tokens)))
    )
    assert warned(fit(rising.with_columns(loss=1 + hard), Coupled), "k is at its bound")


def test_outliers_do_not_move_the_law_and_are_told(planted):
    runs = planted(noise=0.003)
    spoilt = runs.with_columns(
        loss=runs.loss * np.where(np.isin(np.arange(36), [3, 20]), 10, 1)
    )
    fitted = fit(spoilt)
    assert warned(fitted, "2 of 36 runs lie far off the law, run")
    assert fitted.law.alpha == pytest.approx(fit(runs).law.alpha, rel=0.05)


def test_repeated_rows(planted):
    runs = planted(noise=0.003)
    rows = np.flatnonzero(np.arange(36) % 7 != 3)
    fitted = fit(runs.where(np.tile(rows, 2)))
    assert warned(fitted, "31 rows repeat another row exactly")
    assert fitted.objective == pytest.approx(2 * fit(runs.where(rows)).objective, rel=1e-9)


def test_two_sizes_leave_the_floor_open(planted):
    sizes = np.repeat([1e8, 1e9], 18)
    fitted = fit(planted(noise=0.003, params=sizes, tokens=sizes * np.geomspace(5, 500, 36)))
    # Which of them is told of depends on where in the valley the optimum was found.
    assert warned(fitted, "trade off") or warned(fitted, "hardly fix E")
    assert fitted.intervals["alpha"] == (0.0, np.inf)


def test_as_many_runs_as_coefficients(planted):
    runs = planted(noise=0.003).where([0, 5, 14, 21, 35])
    assert warned(fit(runs), "nothing is left to judge the law by")
    assert not warned(fit(runs), "tend to be too narrow")


def test_few_runs_need_resamples_for_honest_intervals(planted):
    few = planted(noise=0.01).where(np.arange(36) % 3 == 0)
    assert warned(fit(few), "With 12 runs the intervals, from the curvature")
    assert not warned(fit(few, bootstrap=20), "With 12 runs")


@pytest.mark.parametrize("seed", range(3))
def test_noise_without_a_law_is_reported(planted, seed):
    runs = planted()
    noise = np.random.default_rng(seed).standard_normal(36)
    fitted = fit(runs.with_columns(loss=3 * np.exp(0.01 * noise)))
    assert fitted.warnings
    assert np.isfinite(fitted.objective)


def test_no_variation_at_all_is_refused(planted):
    with pytest.raises(ValueError, match=r"all 36 runs have loss 3; a law needs"):
        fit(planted().with_columns(loss=np.full(36, 3.0)))


def test_runs_of_no_weight_are_not_judged(planted):
    runs = planted(noise=0.01)
    spoilt = runs.with_columns(loss=np.append(runs.loss[:-1], 40.0))
    fitted = fit(spoilt.with_columns(weight=np.append(np.ones(35), 0.0)))
    assert not warned(fitted, "far off the law")
    assert fitted.n_runs == 35
    without = fit(runs.where(np.arange(35)))
    assert fitted.law.E == pytest.approx(without.law.E, rel=1e-9)


def test_sigma_of_a_run_of_no_weight_changes_nothing(planted):
    runs = planted(noise=0.01).with_columns(weight=np.append(np.ones(35), 0.0))
    laws = [
        fit(runs.with_columns(sigma=np.append(np.full(35, 0.01), last))).law
        for last in (0.01, 1e-9)
    ]
    assert laws[0].E == pytest.approx(laws[1].E, rel=1e-9)


def test_a_line_beside_a_run_of_no_weight_is_a_line(planted):
    params = np.geomspace(1e8, 3e9, 9)
    ratio = np.append(np.full(8, 20.0), 500.0)
    runs = planted(params=params, tokens=params * ratio, weight=np.append(np.ones(8), 0.0))
    assert warned(fit(runs), "All runs lie on one tokens/param line")


def test_few_resamples_are_reported(planted):
    assert warned(fit(planted(noise=0.01), bootstrap=5), "5 resamples do not reach 95 %")


def test_three_thousand_runs(planted):
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(5e7), np.log(5e9), 3_000))
    tokens = params * np.exp(rng.uniform(np.log(5), np.log(500), 3_000))
    fitted = fit(planted(noise=0.01, params=params, tokens=tokens))
    assert fitted.warnings == ()
    assert fitted.law.alpha == pytest.approx(0.336, abs=0.02)


def test_extrapolation_is_a_factor_on_either_side():
    runs = Runs(
        params=np.array([1e8, 1e9]), tokens=np.array([2e9, 1e11]), loss=np.array([3.6, 2.5])
    )
    with pytest.raises(ValueError, match="params is 0; it must be positive"):
        extrapolation(runs, 0.0, 2e10)
    inside = extrapolation(runs, 5e8, 2e10)
    assert inside == (1.0, 1.0, 1.0)
    assert inside.sentence is None
    far = extrapolation(runs, 1e10, 1e11)
    assert far == pytest.approx((10.0, 1.0, 0.5))
    assert far.sentence == (
        "The point is 10 times above the runs in params, "
        "and 2 times below the runs in tokens/param."
    )


def test_without_a_diagnosis_only_the_law_is_found(planted):
    runs = planted(noise=0.01)
    whole, bare = fit(runs), fit(runs, diagnose=False, restarts=0)
    assert bare.objective == pytest.approx(whole.objective, rel=1e-9)
    assert bare.intervals == {}
    assert np.isnan(bare.condition_number)
    with pytest.raises(ValueError, match="restarts is -1; it must be a whole number of 0"):
        fit(runs, restarts=-1)
