"""Properties of plans: optimality, limits, budgets, broadcasting, compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaling_jax as sj
from scaling_jax import laws
from tests.conftest import X64, needs_x64
from tests.support import approx

LAW = laws.HOFFMANN_2022
DEMAND = sj.Demand(input_tokens=0.7e12, output_tokens=1.3e12)
LAWS = {
    name: each.law
    for name, each in laws.PUBLISHED.items()
    if isinstance(each.law, laws.PowerSum)
} | {
    "tied": laws.Tied(E=1.7, A=300.0, B=500.0, alpha=0.31),
    "coupled": laws.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5),
}


def total(params, tokens, demand=DEMAND):
    return sj.Flops()(params, tokens, demand).total


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_no_neighbour_of_equal_loss_is_cheaper(law):
    best = law.compute_optimal(params=3e9)
    loss = law(best.params, best.tokens)
    plan = sj.plan(law, sj.Flops(), DEMAND, loss=loss)
    assert law(plan.params, plan.tokens) == approx(loss, rel=1e-5 if not X64 else 1e-12), plan
    sizes = float(plan.params) * np.array([0.7, 0.95, 0.999, 1.001, 1.05, 1.4])
    others = total(sizes, np.asarray(law.tokens_for(loss, sizes)))
    slack = 1 - 1e-4 * (not X64)
    assert np.nanmin(others) >= plan.total_cost * slack


@needs_x64
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_loss_and_budget_are_two_sides_of_one_plan(law):
    best = law.compute_optimal(params=3e9)
    cheapest = sj.plan(law, sj.Flops(), DEMAND, loss=law(best.params, best.tokens))
    finest = sj.plan(law, sj.Flops(), DEMAND, budget=cheapest.total_cost)
    for name in ("params", "tokens", "loss", "marginal_cost", "saving"):
        expected = getattr(cheapest, name)
        assert getattr(finest, name) == approx(expected, rel=1e-9, abs=1e-12), name


@needs_x64
def test_a_budget_with_a_size_exponent_above_one():
    """alpha > 1 makes the shift negative: demand then lowers the optimal tokens."""
    law = sj.Chinchilla(E=1.0, A=1e10, alpha=1.3, B=400.0, beta=0.3)
    plan = sj.plan(law, sj.Flops(), sj.Demand(output_tokens=1e11), budget=1e21)
    sizes = np.geomspace(0.5, 1.5, 2001) * float(plan.params)
    tokens = (1e21 / sizes - 2e11) / 6
    losses = np.where(tokens > 0, np.asarray(law(sizes, np.abs(tokens))), np.inf)
    assert plan.loss <= losses.min()
    assert total(plan.params, plan.tokens, sj.Demand(output_tokens=1e11)) == approx(1e21, 1e-12)


def test_no_demand_gives_the_baseline():
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(), loss=2.0)
    assert plan.params == approx(plan.baseline.params, rel=1e-5)
    assert plan.saving == approx(0.0, abs=1e-5)


@needs_x64
@settings(max_examples=60, deadline=None)
@given(
    loss=st.floats(1.75, 4.0),
    low=st.floats(3, 18).map(lambda x: 10.0**x),
    factor=st.floats(1.1, 1e3),
)
def test_more_demand_means_smaller_and_longer(loss, low, factor):
    less = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=low), loss=loss)
    more = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=low * factor), loss=loss)
    rounding = 1 + 1e-12
    assert more.params <= less.params * rounding
    assert more.tokens >= less.tokens / rounding
    assert more.total_cost >= less.total_cost
    assert more.saving >= less.saving - 1e-12


@needs_x64
def test_marginal_cost_is_the_slope_of_the_cost():
    def cost(loss, **limits):
        return sj.plan(LAW, sj.Flops(), DEMAND, loss=loss, **limits).total_cost

    for limits in ({}, {"max_params": 1e10}, {"max_tokens": 2e12}, {"params": 9e9}):
        plan = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95, **limits)
        slope = jax.grad(cost)(1.95, **limits)
        assert plan.marginal_cost == approx(slope, rel=1e-11)
        assert plan.marginal_cost < 0


@pytest.mark.parametrize(
    ("query", "limit", "params", "tokens"),
    [
        ({"loss": 1.95, "max_params": 1e12}, sj.Limit.NONE, None, None),
        ({"loss": 1.95, "max_params": 1e10}, sj.Limit.MAX_PARAMS, 1e10, None),
        ({"loss": 1.95, "max_tokens": 2e12}, sj.Limit.MAX_TOKENS, None, 2e12),
        (
            {"loss": 1.95, "max_tokens": 2e12, "max_params": 1e11},
            sj.Limit.MAX_TOKENS,
            None,
            2e12,
        ),
        ({"loss": 1.95, "params": 1e10}, sj.Limit.NONE, 1e10, None),
        ({"loss": 1.95, "tokens": 2e12}, sj.Limit.NONE, None, 2e12),
        ({"budget": 4e23, "max_params": 1e10}, sj.Limit.MAX_PARAMS, 1e10, None),
        ({"budget": 4e23, "max_tokens": 1e12}, sj.Limit.MAX_TOKENS, None, 1e12),
        ({"budget": 4e23, "max_tokens": 1e12, "max_params": 1e9}, sj.Limit.BOTH, 1e9, 1e12),
        ({"budget": 4e23, "params": 1e10}, sj.Limit.NONE, 1e10, None),
        ({"budget": 4e23, "params": 1e10, "max_tokens": 1e12}, sj.Limit.MAX_TOKENS, 1e10, 1e12),
        ({"budget": 4e23, "tokens": 2e12}, sj.Limit.NONE, None, 2e12),
    ],
)
def test_limits(query, limit, params, tokens):
    plan = sj.plan(LAW, sj.Flops(), DEMAND, **query)
    rel = 1e-5
    assert plan.limit == limit
    assert params is None or plan.params == approx(params, rel)
    assert tokens is None or plan.tokens == approx(tokens, rel)
    assert LAW(plan.params, plan.tokens) == approx(plan.loss, rel)
    if "loss" in query:
        assert plan.loss == approx(query["loss"], rel)
    elif limit == sj.Limit.BOTH or len(query) == 3:
        assert plan.total_cost < query["budget"]
        assert plan.marginal_cost == -np.inf
    else:
        assert plan.total_cost == approx(query["budget"], rel)


@needs_x64
def test_limits_that_touch_each_other_are_feasible():
    at = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95, max_params=1e10)
    again = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95, max_params=1e10, max_tokens=at.tokens)
    assert again.tokens == approx(at.tokens, rel=1e-12)


@needs_x64
def test_a_limited_plan_is_the_best_within_its_limits():
    plan = sj.plan(LAW, sj.Flops(), DEMAND, budget=4e23, max_tokens=1e12)
    sizes = np.geomspace(0.2, 1.0, 500) * float(plan.params)
    assert plan.loss <= np.min(np.asarray(LAW(sizes, 1e12))) * (1 + 1e-15)


@pytest.mark.parametrize("query", [{"loss": 1.95}, {"budget": 4e23, "max_params": 1e10}])
def test_jit_vmap_broadcasting_and_the_loop_agree(query, rtol):
    demands = np.geomspace(1e9, 1e13, 7)
    direct = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=demands), **query)

    def one(tokens):
        return sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=tokens), **query)

    batch = jax.jit(jax.vmap(one))(jnp.asarray(demands))
    loop = [one(float(tokens)) for tokens in demands]
    for name in ("params", "tokens", "loss", "total_cost", "marginal_cost", "limit"):
        expected = [float(getattr(plan, name)) for plan in loop]
        np.testing.assert_allclose(getattr(batch, name), expected, rtol=rtol)
        np.testing.assert_allclose(
            np.broadcast_to(getattr(direct, name), (7,)), expected, rtol=rtol
        )


def test_laws_and_costs_are_batched_too():
    stacked = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]),
        laws.HOFFMANN_2022,
        laws.BESIROGLU_2024,
    )
    plans = jax.vmap(lambda law: sj.plan(law, sj.Flops(), DEMAND, loss=2.2))(stacked)
    alone = sj.plan(laws.BESIROGLU_2024, sj.Flops(), DEMAND, loss=2.2)
    assert plans.params[1] == approx(alone.params, rel=1e-5)


def test_nothing_is_traced_again_when_only_numbers_change():
    traces = 0

    class Counted(sj.Flops):
        def rates(self, demand):
            nonlocal traces
            traces += 1
            return super().rates(demand)

    def trace(loss, tokens):
        before = traces
        sj.plan(LAW, Counted(), sj.Demand(output_tokens=tokens), loss=loss)
        return traces - before

    assert trace(2, 1e12) > 0
    assert trace(2.0, 1e13) == 0
    # A float32 number is another program where numbers are 64-bit.
    assert (trace(np.float32(2.5), 10**12) > 0) == X64
    assert trace(jnp.float32(3), 0) == 0


def test_float32_inputs_give_float32_plans():
    law = jax.tree.map(jnp.float32, LAW)
    plan = sj.plan(law, sj.Flops(), sj.Demand(output_tokens=1e12), loss=2.0)
    assert plan.params.dtype == jnp.float32
    assert plan.status.dtype == jnp.int32


def test_elasticities_of_the_published_scenario():
    table = sj.elasticities(LAW, sj.Flops(), DEMAND, loss=1.947)
    # Costs scale with A^(1 / alpha) at fixed loss through N alone.
    assert table["params"]["law.A"] == approx(1 / 0.336, rel=1e-4)
    # Homogeneity: shifting loss and E together changes nothing.
    shift = table["params"]["law.E"] / 1.69 + table["params"]["loss"] / 1.947
    assert shift == approx(0.0, abs=1e-2)
    row = table["total_cost"]
    served = row["demand.input_tokens"] + row["demand.output_tokens"]
    plan = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.947)
    assert served == approx(plan.serve_cost / plan.total_cost, rel=1e-4)  # the envelope theorem


def test_elasticities_at_no_demand_are_zero_not_nan():
    table = sj.elasticities(LAW, sj.Flops(), sj.Demand(), loss=1.947)
    assert table["params"]["demand.output_tokens"] == 0.0


def test_the_two_paths_agree_in_either_precision():
    law, demand = laws.HOFFMANN_2022, sj.Demand(output_tokens=2e12)
    exact = sj.plan(law, sj.Flops(), demand, loss=1.95, max_params=1e10)
    general = sj.plan(
        law, sj.Flops(), demand, loss=1.95, max_params=1e10, optimiser=optax.lbfgs()
    )
    rel = 1e-10 if X64 else 2e-5
    assert general.tokens == approx(exact.tokens, rel)
    assert general.marginal_cost == approx(exact.marginal_cost, rel)
    assert general.limit == exact.limit
