"""The global optimum: published data, SciPy, planted laws, laws of one's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from scaling_jax.fitting import descent, fit
from scaling_jax.fitting.charts import Chart
from scaling_jax.fitting.linear import solve_symmetric
from scaling_jax.fitting.objective import model
from scaling_jax.fitting.objective import value as objective_value
from scaling_jax.fitting.optimum import scaled_residuals
from scaling_jax.fitting.problem import chart_of, prepare, template_of
from scaling_jax.laws import (
    HOFFMANN_2022,
    KAPLAN_2020,
    Chinchilla,
    Coupled,
    Fraction,
    Kaplan,
    Law,
    NonNegative,
    Positive,
    Tied,
)
from scaling_jax.runs import Runs
from scaling_jax.solve import Status

# Tight optima of the paper's objective: many starts of another solver, polished.
SARDANA = {
    100: (2.1920619e-4, 0.0768, 0.1257, 0.1532),
    250: (3.0667013e-4, 0.1307, 0.1569, 0.9862),
    500: (3.9180191e-4, 0.1321, 0.1577, 0.9457),
    1000: (4.6132570e-4, 0.1380, 0.1549, 0.9752),
    5000: (5.4899122e-4, 0.1562, 0.1613, 1.1318),
    10000: (6.1998434e-4, 0.1788, 0.2316, 1.4630),
}
LAWS = [
    HOFFMANN_2022,
    Tied(E=1.7, A=400.0, B=700.0, alpha=0.31),
    Coupled(E=1.2, A=3355.0, alpha=0.408, B=18186.0, beta=0.431, k=0.452),
    KAPLAN_2020,
    Chinchilla(E=0.0, A=10.0, alpha=0.1, B=20.0, beta=0.12),
]


def check_optimum(runs, objective, alpha, beta, E):
    fits = [fit(runs, seed=seed) for seed in range(10)]
    for fitted in fits:
        assert fitted.objective == pytest.approx(objective, rel=1e-6)
        assert fitted.status == Status.CONVERGED
        assert fitted.starts_converged > 0.8
    laws = [list(vars(fitted.law).values()) for fitted in fits]
    np.testing.assert_allclose(laws, np.tile(laws[0], (10, 1)), rtol=1e-4)
    law = fits[0].law
    assert (law.alpha, law.beta, law.E) == pytest.approx((alpha, beta, E), abs=1e-4)


@pytest.mark.parametrize("ratio", SARDANA)
def test_the_papers_runs_from_ten_seeds(sardana, ratio):
    check_optimum(sardana.select(max_tokens_per_param=ratio), *SARDANA[ratio])


def test_the_replications_runs_from_ten_seeds(epoch):
    check_optimum(epoch, 1.01827402e-3, 0.3473, 0.3672, 1.8172)


def test_gadres_runs_from_ten_seeds(gadre):
    check_optimum(gadre, 5.2995413e-4, 0.2526, 0.2622, 1.6200)


def test_plain_floats_in_64_bit_whatever_the_flag(planted):
    runs = planted(noise=0.01)
    with jax.enable_x64(False):
        narrow = fit(runs, bootstrap=5)
    with jax.enable_x64(True):
        wide = fit(runs, bootstrap=5)
    assert narrow.objective == wide.objective
    assert all(type(value) is float for value in vars(narrow.law).values())
    assert all(value.dtype == np.float64 for value in vars(narrow.laws).values())
    assert vars(narrow.law) == vars(wide.law)


def scipy_objective(theta, x, y, target, weight, delta):
    e, a, alpha, b, beta = theta
    z = np.stack([np.full_like(x, e), a - alpha * x, b - beta * y])
    r = special.logsumexp(z, axis=0) - target
    slope = weight * np.clip(r, -delta, delta)
    shares = special.softmax(z, axis=0)
    gradient = [shares[0], shares[1], -x * shares[1], shares[2], -y * shares[2]]
    return 1e4 * (weight * special.huber(delta, r)).sum(), 1e4 * np.array(gradient) @ slope


@pytest.mark.parametrize("delta", [1e-3, 1e-2])
def test_no_worse_than_scipy_from_the_truth(planted, delta):
    weight = np.linspace(0.5, 2.0, 36)
    runs = planted(noise=0.02, weight=weight)
    x, y = np.log(runs.params), np.log(runs.tokens)
    law = HOFFMANN_2022
    start = [np.log(law.E), np.log(law.A), law.alpha, np.log(law.B), law.beta]
    found = optimize.minimize(
        scipy_objective,
        start,
        (x, y, np.log(runs.loss), weight, delta),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-10},
    )
    assert fit(runs, delta=delta).objective <= found.fun / 1e4 * (1 + 1e-9)


def test_squared_error_and_residuals_in_loss_against_scipy(planted):
    runs = planted(noise=0.01)
    coefficients = list(vars(HOFFMANN_2022).values())

    def in_loss(c):
        return c[0] + c[1] * runs.params ** -c[2] + c[3] * runs.tokens ** -c[4] - runs.loss

    found = optimize.least_squares(
        in_loss, coefficients, x_scale=coefficients, xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    fitted = fit(runs, delta=None, residual="loss")
    assert fitted.objective == pytest.approx(found.cost, rel=1e-9)
    np.testing.assert_allclose(list(vars(fitted.law).values()), found.x, rtol=1e-4)
    np.testing.assert_allclose(fitted.residuals, in_loss(list(vars(fitted.law).values())))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("delta", [1e-3, None])
def test_planted_laws_to_1e_6(planted, law, delta):
    fitted = fit(planted(law), type(law), delta=delta)
    for name, value in vars(law).items():
        assert getattr(fitted.law, name) == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert fitted.status == Status.CONVERGED
    assert fitted.starts_converged > 0.5


@settings(max_examples=15, deadline=None)
@given(
    E=st.floats(0.5, 2.5),
    a=st.floats(0.2, 1.5),
    alpha=st.floats(0.15, 0.6),
    b=st.floats(0.2, 1.5),
    beta=st.floats(0.15, 0.6),
)
def test_any_planted_chinchilla(E, a, alpha, b, beta):
    params = np.repeat(np.geomspace(5e7, 5e9, 6), 6)
    tokens = params * np.tile(np.geomspace(5, 500, 6), 6)
    A, B = a * 5e8**alpha, b * 2.5e10**beta
    loss = E + A * params**-alpha + B * tokens**-beta
    law = fit(Runs(params=params, tokens=tokens, loss=loss)).law
    expected = (E, A, alpha, B, beta)
    np.testing.assert_allclose(list(vars(law).values()), expected, rtol=1e-6)


def test_equal_sigmas_and_equal_weights_change_nothing(planted):
    plain = planted(noise=0.01)
    even = plain.with_columns(sigma=0.02 * plain.loss, weight=np.full(36, 3.0))
    assert fit(even).objective == pytest.approx(3 * fit(plain).objective, rel=1e-9)
    assert fit(even).law.alpha == pytest.approx(fit(plain).law.alpha, rel=1e-9)


def test_a_run_of_weight_zero_is_absent(planted):
    runs = planted(noise=0.01)
    weight = np.ones(36)
    weight[:4] = 0
    with_zeros = fit(runs.with_columns(weight=weight))
    assert with_zeros.objective == pytest.approx(fit(runs.where(weight > 0)).objective)


def test_precise_runs_count_more(planted):
    runs = planted(noise=0.02)
    sigma = np.where(np.arange(36) < 18, 1e-3, 0.1)
    sure = fit(runs.with_columns(sigma=sigma), delta=None)
    plain = fit(runs, delta=None)
    assert np.std(sure.residuals[:18]) < np.std(plain.residuals[:18])


class Own(Law):
    """Chinchilla as a user would write it, with a fraction in place of the floor."""

    floor: Fraction
    A: Positive
    alpha: Positive
    B: Positive
    beta: Positive

    def loss(self, params, tokens):
        excess = self.A / params**self.alpha + self.B / tokens**self.beta
        return jnp.asarray(2.5 * self.floor + excess)


class Line(Law):
    """A coefficient without a domain, and one of zero or more."""

    level: float
    slope: NonNegative
    other: NonNegative

    def loss(self, params, tokens):
        x, y = jnp.log(params), jnp.log(tokens)
        return jnp.exp(self.level - self.slope * x - self.other * y)


def test_a_law_of_ones_own(planted):
    runs = planted(noise=0.01)
    expected = fit(runs)
    own = fit(runs, Own)
    assert own.objective == pytest.approx(expected.objective, rel=1e-6)
    assert own.law.floor * 2.5 == pytest.approx(expected.law.E, rel=1e-4)
    started = fit(runs, own.law, starts=1)
    assert started.objective == pytest.approx(expected.objective, rel=1e-6)


def test_kinks_do_not_stop_a_fit_of_noisy_runs():
    """Two sets of few, noisy runs on which no start is final at once."""
    params = np.repeat([1e8, 3e8, 1e9, 3e9], 4)
    tokens = params * np.tile([10.0, 20.0, 50.0, 200.0], 4)
    clean = np.asarray(HOFFMANN_2022(params, tokens), float)
    for seed, noise, best in ((120, 0.03, 3.258525255798e-4), (232, 0.06, 6.566430903969e-4)):
        loss = clean * np.exp(noise * np.random.default_rng(seed).standard_normal(16))
        fitted = fit({"params": params, "tokens": tokens, "loss": loss})
        assert fitted.status == Status.CONVERGED
        assert fitted.objective == pytest.approx(best, rel=1e-6)


def test_coefficients_stay_where_64_bits_hold_them(planted):
    loss = np.random.default_rng(3).uniform(2, 4, 36)
    fitted = fit(planted().with_columns(loss=loss), bootstrap=20)
    for law in (fitted.law, fitted.laws):
        for name in ("A", "alpha", "B", "beta"):
            values = np.asarray(getattr(law, name))
            assert ((values > 0) & np.isfinite(values)).all(), name


def test_a_law_with_a_negative_coefficient():
    params = np.repeat([1e8, 1e9, 1e10], 3)
    tokens = params * np.tile([5.0, 20.0, 80.0], 3)
    loss = np.exp(-1.5) * params**-0.0 * tokens**-0.05 * 30
    fitted = fit(Runs(params=params, tokens=tokens, loss=loss), Line)
    assert fitted.law.level == pytest.approx(-1.5 + np.log(30), rel=1e-6)
    assert fitted.law.slope == pytest.approx(0.0, abs=1e-9)
    assert fitted.law.other == pytest.approx(0.05, rel=1e-6)
    assert not [text for text in fitted.warnings if "level is nearly zero" in text]


@pytest.mark.parametrize("law", [*LAWS[:4], Own(floor=0.6, A=4e2, alpha=0.3, B=4e2, beta=0.3)])
def test_charts_there_and_back(planted, law):
    curvatures, slopes = [], []
    with jax.enable_x64(True):
        problem = prepare(planted(), law, 1e-3, "log")
        chart, points = chart_of(law), problem.data.points
        theta = chart.coordinates(law, points)
        again = chart.law(theta, points)
        losses = jnp.exp(chart.log_loss(theta, points))[:36]
        # A chart of one's own law has coordinates in the units of the points.
        shift = (points.centre_x, points.centre_y) if chart.straight else (0.0, 0.0)
        expected = np.asarray(law.loss_at_log(points.x + shift[0], points.y + shift[1]))[:36]
        terms, forces = chart.terms(theta), jnp.linspace(-1.0, 2.0, points.x.size)
        for kind in (type(chart), Chart):  # written out, and by autodiff
            curvatures.append(
                jax.jit(kind.contracted_hessian, static_argnums=0)(chart, terms, points, forces)
            )
            slopes.append(jax.jit(kind.slopes, static_argnums=0)(chart, terms, points))
    np.testing.assert_allclose(*curvatures, atol=1e-9)
    np.testing.assert_allclose(*slopes, atol=1e-12)
    assert theta.shape == (chart.size,)
    for name, value in vars(law).items():
        assert float(getattr(again, name)) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("law", "residual"), [*((law, "log") for law in LAWS[:4]), (LAWS[0], "loss")]
)
def test_the_model_has_the_derivatives_of_the_objective(planted, law, residual):
    """Written in the chart's terms, with half of the residuals beyond Huber's threshold."""
    with jax.enable_x64(True):
        weight = np.linspace(0.5, 2.0, 36)
        runs = planted(noise=0.1, weight=weight, sigma=np.linspace(2e-2, 1e-2, 36))
        problem = prepare(runs, law, 1e-3, residual)
        theta = chart_of(law).coordinates(law, problem.data.points)
        delta = np.median(np.abs(scaled_residuals(problem, theta)))
        near = jax.jit(model, static_argnums=0)(problem.objective, theta, problem.data, delta)

        def plain(theta):
            return objective_value(problem.objective, theta, problem.data, delta)

        assert float(near.value) == pytest.approx(float(plain(theta)), rel=1e-12)
        gradient, hessian = jax.jit(lambda t: (jax.grad(plain)(t), jax.hessian(plain)(t)))(
            theta
        )
        np.testing.assert_allclose(near.gradient, gradient, rtol=1e-9)
        scale = np.abs(hessian).max()
        np.testing.assert_allclose(near.hessian, hessian, rtol=1e-9, atol=1e-12 * scale)


def test_kaplan_has_no_floor_to_give_up():
    assert chart_of(template_of(Kaplan)).names == ("N_c", "alpha_N", "D_c", "alpha_D")


def test_unrolled_solve_against_numpy():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    matrix, right = root @ root.T, rng.standard_normal(6)
    with jax.enable_x64(True):
        args = jnp.asarray(matrix), jnp.asarray(right), jnp.asarray(np.diag(matrix))
        np.testing.assert_allclose(
            solve_symmetric(*args, 0.0), np.linalg.solve(matrix, right), rtol=1e-9
        )
        downhill = solve_symmetric(-args[0], args[1], args[2], 0.0)
        assert float(downhill @ args[1]) > 0


def test_no_retrace_for_other_runs_seeds_and_thresholds(planted):
    program: Any = descent._descend_block
    fit(planted(noise=0.01))
    before = program._cache_size()
    fit(planted(noise=0.02, seed=1), seed=3, delta=1e-2)
    fit(planted(noise=0.02).where(slice(0, 30)))
    assert program._cache_size() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delta": 0.0}, "delta is 0; it must be positive"),
        ({"residual": "square"}, "residual is 'square'"),
        ({"starts": 0}, "starts is 0"),
        ({"bootstrap": -1}, "bootstrap is -1"),
        ({"resample": "both"}, "resample is 'both'"),
        ({"bootstrap": 2.5}, "bootstrap is 2.5; it must be a whole number"),
        ({"seed": -1}, "seed is -1"),
        ({"family": dict}, "it must be a Law"),
        ({"family": Law}, "it must be a Law"),
    ],
)
def test_refused_options(planted, options, words):
    with pytest.raises(ValueError, match="it must be") as error:
        fit(planted(), **options)
    assert words in str(error.value)


def test_refused_runs(planted):
    runs = planted()
    with pytest.raises(ValueError, match="4 runs cannot fix the 5 coefficients of Chinchilla"):
        fit(runs.where(slice(0, 4)))
    with pytest.raises(ValueError, match="at only 1 different points"):
        fit(runs.where(np.zeros(9, int)))
    with pytest.raises(ValueError, match="all 6 runs have params 5e\\+07"):
        fit(runs.where(slice(0, 6)))
    with pytest.raises(ValueError, match="run 3 has loss nan; it must be positive and finite"):
        fit(runs.with_columns(loss=np.where(np.arange(36) == 2, np.nan, runs.loss)))
    with pytest.raises(ValueError, match="0 runs cannot fix"):
        fit(runs.with_columns(weight=np.zeros(36)))
