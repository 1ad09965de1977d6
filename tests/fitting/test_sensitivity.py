"""Derivatives through the optimum, against refitting with one loss or weight nudged."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.fitting import fit, influence, refit
from scaling_jax.laws import Chinchilla, Tied


def nudged(runs, row, step, of, **options):
    def at(change):
        loss = runs.loss.copy()
        loss[row] += change
        return of(fit(runs.with_columns(loss=loss), **options).law)

    return (at(step) - at(-step)) / (2 * step)


@pytest.mark.parametrize(
    "options",
    [{}, {"delta": None}, {"delta": 1e-2, "residual": "loss"}, {"family": Tied}],
    ids=str,
)
def test_influence_against_refitting(planted, options):
    runs = planted(noise=0.01, sigma=np.linspace(0.005, 0.02, 36))
    table = influence(fit(runs, **options))
    assert set(table) == set(vars(fit(runs, **options).law))
    for name, slopes in table.items():
        assert slopes.shape == (36,)
        for row in np.argsort(-np.abs(slopes))[[0, 1, 30]]:
            expected = nudged(runs, row, 1e-6, lambda law, n=name: getattr(law, n), **options)
            scale = np.abs(slopes).max()
            assert slopes[row] == pytest.approx(expected, rel=1e-4, abs=1e-6 * scale)


def test_influence_on_the_papers_fit(sardana):
    slopes = influence(fit(sardana))["beta"]
    row = int(np.argmax(np.abs(slopes)))
    expected = nudged(sardana, row, 1e-7, lambda law: law.beta)
    assert slopes[row] == pytest.approx(expected, rel=1e-4)


def test_from_the_loss_of_a_run_to_the_flops_of_a_plan(planted):
    runs = planted(noise=0.01)
    demand = sj.Demand(output_tokens=1e12)

    def total(law):
        return sj.plan(law, sj.Flops(), demand, loss=2.3).total_cost

    slopes = influence(fit(runs), total)
    row = int(np.argmax(np.abs(slopes)))
    with jax.enable_x64(True):
        expected = nudged(runs, row, 1e-6, lambda law: float(total(law)))
    assert slopes[row] == pytest.approx(expected, rel=1e-4)


def test_influence_of_a_floor_at_its_bound_is_zero(planted):
    runs = planted(Chinchilla(E=0.0, A=10.0, alpha=0.1, B=20.0, beta=0.12))
    fitted = fit(runs.with_columns(loss=runs.loss - 0.1), delta=None)
    table = influence(fitted)
    assert np.abs(table["E"]).max() < 1e-6
    assert np.isfinite(table["alpha"]).all()


def test_refit_is_the_fit_or_nothing(planted):
    runs = planted(noise=0.01)
    fitted, far = fit(runs), planted(noise=0.03, seed=5)
    ones, zeros = np.ones(36), np.zeros(36)
    cases = [(far.loss, ones), (runs.loss, zeros)]
    for bad in (np.nan, np.inf, 0.0, -1.0):
        cases.append((np.append(runs.loss[:-1], bad), ones))
        cases.append((runs.loss, np.append(ones[:-1], bad or np.nan)))
    with jax.enable_x64(True):
        again = jax.jit(jax.vmap(lambda loss, weight: refit(fitted, loss, weight)))
        laws = again(*map(np.stack, zip(*cases, strict=True)))
    for name, values in vars(laws).items():
        assert np.isnan(values[1:]).all()
        assert float(values[0]) == pytest.approx(getattr(fit(far).law, name), rel=1e-6)


def test_refit_in_32_bit_is_near_the_fit(planted):
    runs = planted(noise=0.01)
    fitted = fit(runs)
    with jax.enable_x64(False):
        law = refit(fitted, jnp.asarray(runs.loss))
    assert float(vars(law)["alpha"]) == pytest.approx(fitted.law.alpha, rel=1e-2)


def test_influence_on_nothing_is_refused(planted):
    fitted = fit(planted(noise=0.01))
    with pytest.raises(ValueError, match=r"output.* is not finite at the fitted law"):
        influence(fitted, lambda law: sj.plan(law, sj.Flops(), sj.Demand(), loss=1.5).params)
    with pytest.raises(ValueError, match="the fit has not converged"):
        influence(dataclasses.replace(fitted, status=sj.Status.NOT_CONVERGED))


def test_refit_follows_losses_and_weights(planted):
    runs = planted(noise=0.01)
    fitted = fit(runs)
    other = runs.loss * np.exp(0.002 * np.random.default_rng(1).standard_normal(36))
    weight = np.linspace(1.0, 2.0, 36)
    expected = fit(runs.with_columns(loss=other, weight=weight)).law
    with jax.enable_x64(True):
        again = jax.jit(lambda loss, weight: refit(fitted, loss, weight))
        law = again(other, weight)
        slopes = jax.grad(lambda w: again(runs.loss, w).alpha)(jnp.ones(36))
    for name, value in vars(expected).items():
        assert float(getattr(law, name)) == pytest.approx(value, rel=1e-6)
    row = int(np.argmax(np.abs(slopes)))

    def at(change):
        weight = np.ones(36)
        weight[row] += change
        return fit(runs.with_columns(weight=weight)).law.alpha

    assert float(slopes[row]) == pytest.approx((at(1e-5) - at(-1e-5)) / 2e-5, rel=1e-4)


def test_refit_with_other_weights_counts_sigma_anew(planted):
    """Relative precisions are about the mean of the runs that count, which weights change."""
    runs = planted(noise=0.01, sigma=np.geomspace(0.002, 0.05, 36))
    weight = np.where(np.arange(36) < 12, 0.0, 1.0)
    expected = fit(runs.with_columns(weight=weight)).law
    fitted = fit(runs)
    with jax.enable_x64(True):
        again = refit(fitted, runs.loss, weight)
    assert float(again.alpha) == pytest.approx(expected.alpha, rel=1e-9)
