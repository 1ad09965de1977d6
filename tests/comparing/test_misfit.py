"""Lack of fit: the size of the test, its power, and what it may not depend on."""

import jax
import numpy as np
import pytest

from scaling_jax.comparing.misfit import fisher_tail, lack_of_fit, misfit_at
from scaling_jax.fitting import fit
from scaling_jax.fitting.optimum import descend_again
from scaling_jax.fitting.problem import pad
from scaling_jax.laws import Chinchilla, Coupled, LogQuadratic
from scaling_jax.runs import CPU47

SETS = 400
NOISE = 0.01


def rejections(truth, family, noise=NOISE, seed=0):
    """Return how often sets of the design of CPU47 that follow a law reject a family at 5 %."""
    fitted = fit(CPU47, truth)
    with jax.enable_x64(True):
        expected = np.log(np.asarray(fitted.law(CPU47.params, CPU47.tokens), float))
    rng = np.random.default_rng(seed)
    targets = expected + noise * rng.standard_normal((SETS, len(expected)))
    planted = fit(CPU47.with_columns(loss=np.exp(expected)), family)
    problem, length = planted.problem, len(planted.problem.data.target)
    with jax.enable_x64(True):
        padded = pad(targets, 0.0, length)
        thetas = descend_again(problem, planted.theta, padded, np.ones_like(padded))
        found = []
        for theta, target in zip(thetas, padded, strict=True):
            own = problem._replace(data=problem.data._replace(target=target))
            found.append(misfit_at(own, theta).p_value)
    return float(np.mean(np.array(found) < 0.05))


@pytest.mark.parametrize("family", [Chinchilla, Coupled])
def test_the_size_is_right(family):
    # Three standard errors of 400 sets are 3.3 %.
    assert 0.03 <= rejections(family, family) <= 0.075


def test_a_coupled_truth_is_found():
    assert rejections(Coupled, Chinchilla) > 0.95


def test_a_family_that_nests_the_test_cannot_be_tested():
    found = lack_of_fit(fit(CPU47, LogQuadratic))
    assert found.terms == 0
    assert np.isnan(found.p_value)


@pytest.mark.parametrize(
    ("truth", "least", "most"), [(Chinchilla, 0.0, 0.13), (Coupled, 0.9, 1.0)]
)
def test_one_bad_run_rejects_nothing_and_hides_nothing(truth, least, most):
    fitted = fit(CPU47, truth)
    with jax.enable_x64(True):
        expected = np.asarray(fitted.law(CPU47.params, CPU47.tokens), float)
    found = []
    for seed in range(47):
        loss = expected * np.exp(0.01 * np.random.default_rng(seed).standard_normal(47))
        bad = loss * np.where(np.arange(47) == seed, 1.5, 1.0)
        found.append(lack_of_fit(fit(CPU47.with_columns(loss=bad), diagnose=False)).p_value)
    # Three standard errors above 5 % at most; nothing left out, half of the latter are lost.
    assert least <= np.mean(np.array(found) < 0.05) <= most


def test_runs_without_weight_do_not_count():
    weight = np.ones(47)
    weight[::5] = 0.0
    one = lack_of_fit(fit(CPU47.with_columns(weight=weight)))
    other = lack_of_fit(fit(CPU47.where(weight > 0)))
    assert one.freedom == other.freedom
    assert one.statistic == pytest.approx(other.statistic, rel=1e-4)


def test_the_tail_of_fishers_distribution():
    # Tables: the upper 5 % points of F(3, 20) and F(1, 10).
    assert fisher_tail(3.0984, 3, 20) == pytest.approx(0.05, rel=1e-3)
    assert fisher_tail(4.9646, 1, 10) == pytest.approx(0.05, rel=1e-3)
