"""The general path: it agrees with the exact one, and goes where that one cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

import scaling_jax as sj
from scaling_jax import laws
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

LAW = laws.HOFFMANN_2022
DEMAND = sj.Demand(input_tokens=0.7e12, output_tokens=1.3e12)
LBFGS = optax.lbfgs()


@pytest.mark.parametrize(
    "query",
    [
        {"loss": 1.95},
        {"budget": 4.8e23},
        {"loss": 1.95, "max_params": 1e10},
        {"budget": 4.8e23, "max_tokens": 2e12},
        {"budget": 4.8e23, "max_tokens": 2e12, "max_params": 1e10},
        {"loss": 1.95, "params": 1e10},
    ],
    ids=str,
)
def test_the_two_paths_agree(query):
    exact = sj.plan(LAW, sj.Flops(), DEMAND, **query)
    general = sj.plan(LAW, sj.Flops(), DEMAND, **query, optimiser=LBFGS)
    for name in ("params", "tokens", "loss", "total_cost", "marginal_cost", "saving", "limit"):
        expected = getattr(exact, name)
        assert getattr(general, name) == approx(expected, rel=1e-10, abs=1e-12), name


def test_other_laws_and_costs_agree_too():
    cost = sj.Dollars(
        train=sj.TrainFleet.of("H100-SXM"), serve=sj.ServeFleet.of("H100-SXM", "fp8")
    )
    exact = sj.plan(laws.KAPLAN_2020, cost, DEMAND, loss=2.2)
    general = sj.plan(laws.KAPLAN_2020, cost, DEMAND, loss=2.2, optimiser=LBFGS)
    assert general.params == approx(exact.params, rel=1e-10)
    assert general.baseline.tokens == approx(exact.baseline.tokens, rel=1e-10)


@pytest.mark.parametrize(
    "optimiser", [optax.adam(3e-2), optax.adamw(3e-2, weight_decay=0.0), optax.sgd(1e-2)]
)
def test_any_optax_transformation_plans(optimiser):
    exact = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95)
    general = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95, optimiser=optimiser)
    assert general.params == approx(exact.params, rel=1e-10)


@pytest.mark.slow
def test_derivatives_of_the_two_paths_agree():
    def params(law, tokens, optimiser):
        demand = sj.Demand(output_tokens=tokens)
        return sj.plan(law, sj.Flops(), demand, loss=1.95, optimiser=optimiser).params

    for transform in (jax.grad, jax.jacfwd):
        exact = transform(params, (0, 1))(LAW, 2e12, None)
        general = transform(params, (0, 1))(LAW, 2e12, LBFGS)
        np.testing.assert_allclose(jax.tree.leaves(general), jax.tree.leaves(exact), rtol=1e-8)
    second = [jax.grad(jax.grad(params, 1), 1)(LAW, 2e12, o) for o in (None, LBFGS)]
    assert second[1] == approx(second[0], rel=1e-7)


def decode_bound(params, tokens, demand):
    """A cost that the exact path cannot take: small models waste the serving device."""
    train = 6 * params * tokens
    serve = 2 * params * demand.tokens * (1 + (2e10 / params) ** 0.7)
    return sj.Bill(train=train, serve=serve)


def test_a_cost_of_the_user_against_scipy():
    plan = sj.plan(LAW, decode_bound, DEMAND, loss=1.95)

    def total(log_params):
        params = np.exp(log_params)
        return float(decode_bound(params, LAW.tokens_for(1.95, params), DEMAND).total)

    span = np.log([7e9, 1e11])
    oracle = scipy.optimize.minimize_scalar(total, bounds=span, method="bounded")
    assert plan.total_cost == approx(oracle.fun, rel=1e-10)
    assert plan.params == approx(np.exp(oracle.x), rel=1e-4)
    # The price of quality, against a difference of two optima.
    up, down = (
        sj.plan(LAW, decode_bound, DEMAND, loss=1.95 + d).total_cost for d in (1e-5, -1e-5)
    )
    assert plan.marginal_cost == approx((up - down) / 2e-5, rel=1e-5)


def test_a_law_of_the_user_that_closes_over_what_is_differentiated():
    def with_floor(floor):
        def law(params, tokens):
            return floor + 406.4 / params**0.336 + 410.7 / tokens**0.283

        return jnp.log(sj.plan(law, sj.Flops(), DEMAND, loss=1.95).params)

    exact = jax.grad(
        lambda floor: jnp.log(
            sj.plan(
                sj.Chinchilla(E=floor, A=406.4, alpha=0.336, B=410.7, beta=0.283),
                sj.Flops(),
                DEMAND,
                loss=1.95,
            ).params
        )
    )(1.69)
    assert jax.grad(with_floor)(1.69) == approx(exact, rel=1e-8)


def precise_law(params, tokens, bits):
    """Fewer bits act like fewer parameters (the form of Kumar et al. 2024)."""
    return LAW(params * (1 - jnp.exp(-bits / 2.7)), tokens)


def precise_cost(params, tokens, demand, bits):
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens * bits / 16)


def test_more_decision_variables_than_two():
    plan = sj.plan(precise_law, precise_cost, DEMAND, loss=1.95, choices={"bits": (2.0, 16.0)})
    bits = float(plan.choices["bits"])
    assert 2 < bits < 16

    def total(bits):
        law = sj.Chinchilla(
            E=1.69,
            A=406.4 * (1 - np.exp(-bits / 2.7)) ** -0.336,
            alpha=0.336,
            B=410.7,
            beta=0.283,
        )
        demand = sj.Demand(output_tokens=2e12 * bits / 16)
        return float(sj.plan(law, sj.Flops(), demand, loss=1.95).total_cost)

    oracle = scipy.optimize.minimize_scalar(total, bounds=(2, 16), method="bounded")
    assert plan.total_cost == approx(oracle.fun, rel=1e-10)
    assert bits == approx(oracle.x, rel=1e-4)


def test_a_choice_can_end_at_its_bound():
    plan = sj.plan(precise_law, precise_cost, DEMAND, loss=1.95, choices={"bits": (12.0, 16.0)})
    assert plan.choices["bits"] == approx(12.0, rel=1e-9)


def test_vmap_over_the_general_path():
    def params(tokens):
        return sj.plan(LAW, decode_bound, sj.Demand(output_tokens=tokens), loss=1.95).params

    tokens = jnp.array([1e11, 1e12, 1e13])
    batch = jax.jit(jax.vmap(params))(tokens)
    np.testing.assert_allclose(batch, [params(float(t)) for t in tokens], rtol=1e-10)


def test_arrays_are_planned_in_one_call():
    plans = sj.plan(LAW, decode_bound, DEMAND, loss=np.array([1.95, 2.0]))
    alone = [sj.plan(LAW, decode_bound, DEMAND, loss=loss).params for loss in (1.95, 2.0)]
    np.testing.assert_allclose(plans.params, np.array(alone), rtol=1e-10)


def test_constraints_follow_what_they_close_over():
    most, demand = 1.5e10, sj.Demand(output_tokens=2e12)

    def memory(params, tokens, demand):
        return params / most - 1, tokens / 1e14 - 1

    def planned(**limit):
        return sj.plan(LAW, sj.Flops(), demand, loss=1.947, **limit)

    assert planned(constraints=memory).params == approx(1.5e10, rel=1e-9)
    most = 1.2e10
    assert planned(constraints=memory).params == approx(1.2e10, rel=1e-9)

    def limited(most):
        return planned(constraints=lambda n, d, demand: n / most - 1).total_cost

    wanted = jax.grad(lambda most: planned(max_params=most).total_cost)(1.4e10)
    assert jax.grad(limited)(1.4e10) == approx(wanted, rel=1e-8)
    with pytest.raises(ValueError, match=r"returns the shape \(1,\); it must return scalars"):
        planned(constraints=lambda n, d, demand: jnp.stack([n / most - 1]))
