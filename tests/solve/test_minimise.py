import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

from scaling_jax.solve import Status, dense, minimise, newton, root
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_newton_finds_a_root_and_keeps_the_best_point():
    found, error = newton(
        lambda x: jnp.stack([x[0] ** 2 - 2, x[0] * x[1] - 1]), jnp.array([1.0, 1.0])
    )
    assert error < 1e-14
    assert np.asarray(found) == pytest.approx([2**0.5, 2**-0.5], rel=1e-15)


def test_root_with_a_dense_jacobian_is_differentiable():
    def corner(a):
        def residual(x):
            return jnp.stack([x[0] * x[1] - a, x[0] - x[1]])

        return root(residual, lambda: newton(residual, jnp.array([1.0, 2.0]))[0], dense)[0]

    assert jax.grad(corner)(9.0) == approx(1 / 6, rel=1e-14)
    assert jax.grad(jax.grad(corner))(9.0) == approx(-1 / 108, rel=1e-13)


def test_equality_against_scipy():
    def circle(x):
        return x @ x - 2.0

    found = minimise(rosenbrock, jnp.array([0.5, 0.5]), equality=circle)
    oracle = scipy.optimize.minimize(
        rosenbrock,
        [1.0, 1.0],
        jac=jax.grad(rosenbrock),
        method="SLSQP",
        constraints={"type": "eq", "fun": circle, "jac": jax.grad(circle)},
        options={"ftol": 1e-15},
    )
    assert found.status == Status.CONVERGED
    assert np.asarray(found.value) == pytest.approx(oracle.x, abs=1e-6)


@pytest.mark.parametrize(
    ("bound", "value", "multiplier"), [(0.5, 0.5, 1.0), (1.0, 1.0, 0.0), (2.0, 1.0, 0.0)]
)
def test_an_inequality_binds_or_not(bound, value, multiplier):
    """min (x - 1)^2 subject to x <= bound: active, weakly active, inactive."""
    found = minimise(lambda x: (x - 1) ** 2, jnp.asarray(0.0), inequality=lambda x: x - bound)
    assert found.value == approx(value, rel=1e-9)
    assert found.inequality[0] == approx(multiplier, abs=1e-9)


@pytest.mark.parametrize(
    "optimiser",
    [optax.lbfgs(), optax.adam(3e-2), optax.sgd(1e-2), optax.rmsprop(1e-2)],
    ids=["lbfgs", "adam", "sgd", "rmsprop"],
)
def test_any_optax_transformation_works(optimiser):
    def half_plane(x):
        return x["a"] + 2 * x["b"] - 1.0

    found = minimise(
        lambda x: (x["a"] - 1) ** 2 + (x["b"] - 1) ** 2 + x["a"] * x["b"] / 2,
        {"a": jnp.asarray(0.0), "b": jnp.asarray(0.0)},
        inequality=half_plane,
        optimiser=optimiser,
    )
    # Solved by hand: stationarity with the constraint active.
    system = np.array([[2, 0.5, 1], [0.5, 2, 2], [1, 2, 0]])
    a, b, mu = np.linalg.solve(system, [2, 2, 1])
    assert found.value["a"] == approx(a, rel=1e-12)
    assert found.value["b"] == approx(b, rel=1e-12)
    assert found.inequality[0] == approx(mu, rel=1e-12)


def test_derivatives_pass_through_the_optimum():
    """min x^2 + y^2 subject to x + y = c has x = c / 2 and multiplier -c."""

    def solution(c):
        found = minimise(lambda x: x @ x, jnp.array([0.3, 0.1]), equality=lambda x: x.sum() - c)
        return found.value[0] + found.equality[0]

    assert solution(2.0) == approx(-1.0, rel=1e-12)
    assert jax.grad(solution)(2.0) == approx(-0.5, rel=1e-12)
    assert jax.jacfwd(solution)(2.0) == approx(-0.5, rel=1e-12)


def test_contradictory_constraints_are_infeasible():
    found = minimise(
        lambda x: x**2, jnp.asarray(0.5), inequality=lambda x: jnp.stack([x - 1, 2 - x])
    )
    assert found.status == Status.INFEASIBLE
    assert jnp.isnan(found.value)


def test_an_objective_without_minimum_does_not_converge():
    found = minimise(lambda x: 3 * x, jnp.asarray(0.5))
    assert found.status == Status.NOT_CONVERGED
    assert jnp.isnan(found.value)


def test_vmap_is_the_loop():
    def solve(bound):
        return minimise(
            lambda x: (x - 1) ** 2, jnp.asarray(0.0), inequality=lambda x: x - bound
        ).value

    bounds = jnp.array([-1.0, 0.3, 2.0])
    assert np.asarray(jax.vmap(solve)(bounds)) == pytest.approx([-1.0, 0.3, 1.0], rel=1e-12)
