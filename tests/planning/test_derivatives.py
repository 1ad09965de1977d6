"""Derivatives through the optimum: closed form, finite differences, forward and reverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.laws import HOFFMANN_2022
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

LAW = jax.tree.map(jnp.asarray, HOFFMANN_2022)
COST = sj.Dollars(train=sj.TrainFleet.of("A100-80GB"), serve=sj.ServeFleet.of("A100-40GB"))
QUERIES = [
    {"loss": 1.95},
    {"budget": 5e6},
    {"loss": 1.95, "max_params": 1e10},
    {"loss": 1.95, "max_tokens": 3e12},
    {"budget": 5e6, "max_params": 1e10},
    {"loss": 1.95, "params": 1.2e10},
    {"budget": 5e6, "tokens": 4e12},
]
OUTPUTS = ("params", "tokens", "loss", "total_cost", "marginal_cost")


def flat_plan(query):
    """Return a function of one flat vector of logarithms of every input, and its point."""
    names = list(query)
    tree = (LAW, COST, sj.Demand.of_requests(3e9), [query[name] for name in names])
    leaves, structure = jax.tree.flatten(tree)
    point = jnp.log(jnp.asarray(leaves, float))

    def outputs(logs):
        law, cost, demand, values = jax.tree.unflatten(structure, list(jnp.exp(logs)))
        plan = sj.plan(law, cost, demand, **dict(zip(names, values, strict=True)))
        return jnp.stack([jnp.log(jnp.abs(getattr(plan, name))) for name in OUTPUTS])

    return jax.jit(outputs), point


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_jacobian_against_central_differences_forward_against_reverse(query):
    outputs, point = flat_plan(query)
    forward = jax.jit(jax.jacfwd(outputs))(point)
    reverse = jax.jit(jax.jacrev(outputs))(point)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-11)
    step = 3e-6
    for i in range(point.size):
        unit = jnp.zeros_like(point).at[i].set(step)
        central = (outputs(point + unit) - outputs(point - unit)) / (2 * step)
        scale = max(1.0, float(jnp.max(jnp.abs(forward[:, i]))))
        np.testing.assert_allclose(forward[:, i], central, rtol=1e-6, atol=1e-7 * scale)


@pytest.mark.parametrize("query", QUERIES[:2], ids=str)
def test_hessian_against_differences_of_the_gradient(query):
    outputs, point = flat_plan(query)

    def cost(logs):
        return outputs(logs)[0]

    gradient = jax.jit(jax.grad(cost))
    hessian = jax.jit(jax.hessian(cost))(point)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-8, atol=1e-9)
    other = jax.jit(jax.jacrev(jax.jacfwd(cost)))(point)
    np.testing.assert_allclose(hessian, other, rtol=1e-8, atol=1e-9)
    step = 1e-5
    for i in range(point.size):
        unit = jnp.zeros_like(point).at[i].set(step)
        central = (gradient(point + unit) - gradient(point - unit)) / (2 * step)
        scale = max(1.0, float(jnp.max(jnp.abs(hessian[i]))))
        np.testing.assert_allclose(hessian[i], central, rtol=1e-5, atol=1e-6 * scale)


def test_closed_forms_at_no_demand():
    """N = (A (1 + alpha / beta) / (l - E))^(1 / alpha) at zero demand."""
    gradient = jax.grad(
        lambda law, loss: jnp.log(sj.plan(law, sj.Flops(), sj.Demand(), loss=loss).params),
        (0, 1),
    )
    law, loss = gradient(LAW, 2.0)
    excess = 2.0 - 1.69
    assert loss == approx(-1 / (0.336 * excess), rel=1e-12)
    assert law.E == approx(1 / (0.336 * excess), rel=1e-12)
    assert law.A == approx(1 / (0.336 * 406.4), rel=1e-12)
    assert law.beta == approx(-1 / (0.336 + 0.283) / 0.283, rel=1e-10)


def test_the_first_order_effect_of_demand_has_a_closed_form():
    """At the optimum, d(total cost) / d(demand) is 2 N whatever the rest (envelope)."""
    for tokens in (0.0, 1e9, 1e13):
        plan = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=tokens), loss=2.0)
        slope = jax.grad(
            lambda d: sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=d), loss=2.0).total_cost
        )(tokens)
        assert slope == approx(2 * plan.params, rel=1e-11)


def test_implicit_against_unrolled_differentiation():
    """An unrolled Newton solve of the same equation, differentiated step by step."""

    def unrolled(law, demand, loss):
        excess = loss - law.E
        first = (law.beta * law.B / law.alpha + law.B) / excess
        second = demand * law.beta * law.B / (3 * law.alpha) / excess

        def equation(x):
            return first * jnp.exp(-law.beta * x) + second * jnp.exp(-(law.beta + 1) * x) - 1

        x = jnp.log(first) / law.beta
        for _ in range(60):
            x -= equation(x) / jax.grad(equation)(x)
        return x

    def implicit(law, demand, loss):
        plan = sj.plan(law, sj.Flops(), sj.Demand(output_tokens=demand), loss=loss)
        return jnp.log(plan.tokens)

    point = (LAW, jnp.asarray(2e12), jnp.asarray(1.947))
    slow = jax.tree.leaves(jax.grad(unrolled, (0, 1, 2))(*point))
    fast = jax.tree.leaves(jax.grad(implicit, (0, 1, 2))(*point))
    np.testing.assert_allclose(fast, slow, rtol=1e-11)


def _outputs(law, tokens, loss):
    plan = sj.plan(law, sj.Flops(), sj.Demand(output_tokens=tokens), loss=loss)
    return jnp.stack([getattr(plan, name) for name in OUTPUTS])


@jax.jit
def _derivatives(*point):
    first = jax.jacrev(_outputs, (0, 1, 2))
    return first(*point), jax.jacfwd(first, (0, 1, 2))(*point)


@pytest.mark.parametrize("size", [1e5, 1e9, 1e14])
@pytest.mark.parametrize("tokens", [0.0, 1e3, 1e18])
def test_everything_is_finite_at_the_extremes(size, tokens):
    best = HOFFMANN_2022.compute_optimal(params=size)
    loss = HOFFMANN_2022(best.params, best.tokens)

    point = (LAW, jnp.asarray(tokens), jnp.asarray(loss))
    first, second = _derivatives(*point)
    for leaf in jax.tree.leaves((first, second)):
        assert jnp.all(jnp.isfinite(leaf))
