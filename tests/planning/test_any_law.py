"""Plain functions, axes, lists of choices, matched models, baselines, warnings, float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.laws import HOFFMANN_2022 as LAW
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

DEMAND = sj.Demand(output_tokens=2e12)


def chips(params, tokens, demand):
    """Every 4e9 parameters take one more chip."""
    serve = demand.tokens * 1e10 * jnp.ceil(2 * params / 8e9)
    return sj.Bill(train=6 * params * tokens, serve=serve)


def roofline(params, tokens, demand):
    busy = (1 + (1e10 / params) ** 2) ** 0.25
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens * busy)


# What the first planners answered wrongly, or not at all.


def test_chips_come_in_whole_numbers():
    demand = sj.Demand(output_tokens=1e13)
    plan = sj.plan(LAW, chips, demand, loss=2.1)
    assert plan.params == approx(4e9, rel=1e-8)
    sizes = np.geomspace(3e9, 1e11, 20_001)
    assert plan.total_cost < np.nanmin(chips(sizes, LAW.tokens_for(2.1, sizes), demand).total)
    assert plan.method == "reduced"


def test_chips_at_a_budget():
    spent = sj.plan(LAW, chips, sj.Demand(output_tokens=1e13), budget=1.5e23)
    sizes = 4e9 * np.arange(1, 60)
    tokens = (1.5e23 - 1e13 * 1e10 * np.arange(1, 60)) / (6 * sizes)
    losses = np.asarray(LAW(sizes[tokens > 0], tokens[tokens > 0]))
    assert spent.loss < losses.min() * (1 + 1e-9)
    assert spent.total_cost <= 1.5e23 * (1 + 1e-9)


def test_a_cost_that_doubles_above_a_size():
    def cost(params, tokens, demand):
        serve = 2 * params * demand.tokens * jnp.where(params > 20e9, 2.0, 1.0)
        return sj.Bill(train=6 * params * tokens, serve=serve)

    plan = sj.plan(LAW, cost, DEMAND, loss=1.947)
    assert plan.params <= 20e9
    below = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.947, max_params=20e9)
    assert plan.total_cost == approx(below.total_cost, rel=1e-8)


@pytest.mark.slow
def test_breaks_that_a_cost_states_are_differentiated():
    class Chips(sj.Cost):
        memory: sj.Positive

        def __call__(self, params, tokens, demand):
            serve = demand.tokens * 1e10 * jnp.ceil(2 * params / self.memory)
            return sj.Bill(train=6 * params * tokens, serve=serve)

        def breaks(self, demand):
            return tuple(self.memory / 2 * k for k in range(1, 5))

    def size(memory):
        return sj.plan(
            LAW, Chips(memory=memory), sj.Demand(output_tokens=1e13), loss=2.1
        ).params

    assert size(8e9) == approx(4e9, rel=1e-12)
    assert jax.grad(size)(8e9) == approx(0.5, rel=1e-9)


# Functions are what they are today, whatever they close over.


def test_a_changed_global_changes_the_plan():
    floor = 1.69

    def law(params, tokens):
        return floor + 406.4 / params**0.336 + 410.7 / tokens**0.283

    before = sj.plan(law, sj.Flops(), DEMAND, loss=1.95).params
    floor = 1.75
    after = sj.plan(law, sj.Flops(), DEMAND, loss=1.95).params
    wanted = sj.Chinchilla(E=1.75, A=406.4, alpha=0.336, B=410.7, beta=0.283)
    assert after == approx(sj.plan(wanted, sj.Flops(), DEMAND, loss=1.95).params, rel=1e-10)
    assert after > 1.5 * before


def test_a_function_is_compiled_once_for_all_that_it_closes_over():
    from scaling_jax.planning.planner import compiled_plan

    def law(floor):
        return lambda n, d: floor + 406.4 / n**0.336 + 410.7 / d**0.283

    sj.plan(law(np.float64(1.6)), sj.Flops(), DEMAND, loss=1.95)
    sj.plan(law(jnp.asarray(1.6)), sj.Flops(), DEMAND, loss=1.95)
    before = compiled_plan._cache_size()
    for floor in (1.62, 1.65):
        sj.plan(law(jnp.asarray(floor)), sj.Flops(), DEMAND, loss=1.95)
    assert compiled_plan._cache_size() == before


def test_derivatives_reach_what_a_function_closes_over():
    def size(floor, law):
        return sj.plan(law(floor), sj.Flops(), DEMAND, loss=1.95).params

    def function(floor):
        return lambda n, d: floor + 406.4 / n**0.336 + 410.7 / d**0.283

    def record(floor):
        return sj.Chinchilla(E=floor, A=406.4, alpha=0.336, B=410.7, beta=0.283)

    wanted = jax.grad(size)(1.69, record)
    assert jax.grad(size)(1.69, function) == approx(wanted, rel=1e-9)
    floors = jnp.array([1.6, 1.69])
    batch = jax.vmap(lambda e: size(e, function))(floors)
    np.testing.assert_allclose(batch, [size(e, record) for e in floors], rtol=1e-10)


def test_a_function_must_return_scalars():
    with pytest.raises(ValueError, match=r"<lambda> returns the shape \(3,\)"):
        sj.plan(lambda n, d: n + d * jnp.ones(3), sj.Flops(), DEMAND, loss=2.0)


# Axes, lists of choices, matched models.


def precise_law(params, tokens, bits):
    return LAW(params * (1 - jnp.exp(-bits / 2.7)), tokens)


def precise_cost(params, tokens, demand, bits):
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens * bits / 16)


@pytest.mark.slow
def test_the_best_of_a_list_is_the_best_of_its_plans():
    bits = [2, 4, 8, 16]
    tokens = np.geomspace(1e10, 1e14, 5)
    demand = sj.Demand(output_tokens=tokens)
    chosen = sj.plan(precise_law, precise_cost, demand, loss=1.95, choices={"bits": bits})
    each = sj.plan(
        precise_law, precise_cost, demand, loss=1.95, axes={"bits": np.array(bits)[:, None]}
    )
    assert each.params.shape == (4, 5)
    best = np.argmin(each.total_cost, axis=0)
    np.testing.assert_array_equal(chosen.choices["bits"], np.array(bits)[best])
    np.testing.assert_allclose(
        chosen.total_cost, np.min(np.asarray(each.total_cost), axis=0), rtol=1e-12
    )
    np.testing.assert_allclose(
        chosen.baseline.params, np.asarray(each.baseline.params)[best, np.arange(5)], rtol=1e-10
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"loss": 1.95}, "the law needs the axis 'bits'"),
        ({"loss": 1.95, "axes": {"bits": 8, "width": 3}}, "reads the axis 'width'"),
        (
            {"loss": 1.95, "axes": {"bits": 8}, "choices": {"bits": [4]}},
            "both given and chosen",
        ),
        ({"loss": 1.95, "choices": {"bits": []}}, "empty list"),
        ({"loss": 1.95, "choices": {"bits": (4, 8, 16)}}, r"must be \(low, high\), or a list"),
        ({"loss": 1.95, "match_params": 1e9}, "loss and match_params are both given"),
        ({"loss": 1.95, "match_tokens": 1e9}, "match_tokens is given without match_params"),
    ],
    ids=str,
)
def test_axes_and_targets_are_refused_in_one_sentence(query, message):
    with pytest.raises(ValueError, match=message):
        sj.plan(precise_law, precise_cost, DEMAND, **query)


def test_a_matched_model_is_matched_law_by_law():
    best = LAW.compute_optimal(params=7e9)
    wanted = sj.plan(LAW, sj.Flops(), DEMAND, loss=LAW(best.params, best.tokens))
    plan = sj.plan(LAW, sj.Flops(), DEMAND, match_params=7e9)
    assert plan.total_cost == approx(wanted.total_cost, rel=1e-12)
    given = sj.plan(LAW, sj.Flops(), DEMAND, match_params=7e9, match_tokens=2e12)
    assert given.loss == approx(LAW(7e9, 2e12), rel=1e-12)
    floors = np.array([1.6, 1.69])
    stacked = sj.Chinchilla(E=floors, A=406.4, alpha=0.336, B=410.7, beta=0.283)
    both = sj.plan(stacked, sj.Flops(), DEMAND, match_params=7e9)
    # The floor moves the loss of the matched model with it: the plan stays.
    np.testing.assert_allclose(both.total_cost, np.full(2, plan.total_cost), rtol=1e-12)
    plain = lambda n, d: LAW(n, d)  # noqa: E731, PLW0108 (not a record)
    own = sj.plan(plain, sj.Flops(), DEMAND, match_params=7e9)
    assert own.total_cost == approx(plan.total_cost, rel=1e-10)


# Baselines.


def test_the_baseline_is_the_cheapest_to_train_within_the_limits():
    for cost in (sj.Flops(), roofline):
        plan = sj.plan(LAW, cost, DEMAND, loss=1.95, max_params=5e9)
        assert plan.baseline.params == approx(5e9, rel=1e-12)
        assert plan.saving == approx(0.0, abs=1e-9)
        plan = sj.plan(LAW, cost, DEMAND, loss=1.95, max_params=2.5e10)
        best = LAW.compute_optimal(loss=1.95)
        assert plan.baseline.params == approx(min(2.5e10, float(best.params)), rel=1e-9)
        assert plan.saving > 0


def test_a_cost_that_is_undefined_at_no_demand_has_a_baseline():
    def cost(params, tokens, demand):
        longer = demand.tokens**2 / demand.tokens  # 0 / 0 at no demand
        return sj.Bill(train=6 * params * tokens, serve=2 * params * longer)

    plan = sj.plan(LAW, cost, DEMAND, loss=1.95)
    exact = sj.plan(LAW, sj.Flops(), DEMAND, loss=1.95)
    assert plan.baseline.params == approx(exact.baseline.params, rel=1e-10)
    assert plan.saving == approx(exact.saving, rel=1e-9)
    nowhere = sj.plan(LAW, cost, sj.Demand(output_tokens=np.zeros(1)), loss=1.95)
    assert nowhere.status[0] != 0


def test_a_train_cost_with_steps_has_the_right_baseline():
    def cost(params, tokens, demand):
        train = 6 * params * tokens * (1 + jnp.ceil(params / 1e10))
        return sj.Bill(train=train, serve=2 * params * demand.tokens)

    plan = sj.plan(LAW, cost, DEMAND, loss=1.95)
    sizes = np.geomspace(3e9, 1e12, 400_001)
    tokens = np.asarray(LAW.tokens_for(1.95, sizes))
    train = np.asarray(6 * sizes * tokens * (1 + np.ceil(sizes / 1e10)))
    assert plan.baseline.train_cost <= np.nanmin(train) * (1 + 1e-6)


# Failures.


@pytest.mark.parametrize("cost", [sj.Flops(), roofline], ids=["exact", "reduced"])
def test_a_scenario_without_plan_can_be_set_aside(cost):
    losses = np.array([1.95, 1.6, 2.0])

    def mean_cost(law):
        plan = sj.plan(law, cost, DEMAND, loss=losses)
        return jnp.sum(jnp.where(plan.status == 0, plan.total_cost, 0.0))

    def two_costs(law):
        return jnp.sum(sj.plan(law, cost, DEMAND, loss=losses[[0, 2]]).total_cost)

    law = jax.tree.map(jnp.asarray, LAW)
    got, wanted = jax.grad(mean_cost)(law), jax.grad(two_costs)(law)
    np.testing.assert_allclose(jax.tree.leaves(got), jax.tree.leaves(wanted), rtol=1e-12)
    alone = jax.grad(lambda x: sj.plan(x, cost, DEMAND, loss=losses).total_cost[1])(law)
    assert np.isnan(alone.E)


def test_float32_solves_what_float64_solves():
    count = 3_000
    rng = np.random.default_rng(3)
    best = LAW.compute_optimal(params=10 ** rng.uniform(8, 12, count))
    loss = np.asarray(LAW(best.params, best.tokens), np.float32)
    demand = (10 ** rng.uniform(9, 15, count)).astype(np.float32)

    def run(dtype):
        law = jax.tree.map(
            dtype, laws.Coupled(E=1.69, A=406.4, alpha=0.336, B=410.7, beta=0.283, k=1.0)
        )
        return sj.plan(
            law,
            roofline,
            sj.Demand(output_tokens=demand.astype(dtype)),
            loss=loss.astype(dtype),
        )

    single, double = run(np.float32), run(np.float64)
    assert single.params.dtype == np.float32
    assert not np.any(double.status)
    assert not np.any(single.status)
    ratio = np.asarray(single.total_cost, float) / np.asarray(double.total_cost)
    np.testing.assert_allclose(ratio, 1.0, rtol=2e-4)


def test_a_plan_outside_of_what_its_law_states_says_so():
    valid = laws.Valid(params=(1e8, 1e10), tokens=(1e9, 1e13))
    sourced = laws.Sourced(law=LAW, valid=valid)
    plan = sj.plan(sourced, sj.Flops(), DEMAND, loss=1.947)
    assert plan.warnings == (
        "the plan lies 2.42 times above the runs behind the law in params",
    )
    assert sj.plan(sourced, sj.Flops(), DEMAND, loss=2.3).warnings == ()
    assert sj.plan(LAW, sj.Flops(), DEMAND, loss=1.947).warnings == ()
    batch = sj.plan(sourced, sj.Flops(), DEMAND, loss=np.array([1.947]))
    assert batch.warnings == ()


@pytest.mark.slow
def test_elasticities_of_functions_and_axes():
    table = sj.elasticities(precise_law, precise_cost, DEMAND, loss=1.95, axes={"bits": 8.0})
    up, down = (
        sj.plan(precise_law, precise_cost, DEMAND, loss=1.95, axes={"bits": 8 * f}).params
        for f in (1 + 1e-5, 1 - 1e-5)
    )
    assert table["params"]["axes.bits"] == approx(np.log(up / down) / 2e-5, rel=1e-6)
    # Serving is proportional to size: where there is no demand it does not move.
    none = sj.elasticities(LAW, sj.Flops(), sj.Demand(), loss=1.947)
    assert all(value == 0 for value in none["serve_cost"].values())


QUERIES = [
    {"loss": 1.95},
    {"loss": 1.95, "max_params": 1e10},
    {"budget": 4.8e23, "max_params": 8e9},
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_gradients_against_central_differences(query):
    """Through every coefficient, the demand and the question, at a nonlinear cost."""
    law = laws.Coupled(E=1.5, A=700.0, alpha=0.36, B=900.0, beta=0.3, k=0.9)
    names, point = list(query), [2e12, *query.values()]
    leaves, structure = jax.tree.flatten((law, point))
    logs = jnp.log(jnp.asarray(leaves))

    @jax.jit
    def outputs(logs):
        law, (tokens, *values) = jax.tree.unflatten(structure, list(jnp.exp(logs)))
        plan = sj.plan(
            law,
            roofline,
            sj.Demand(output_tokens=tokens),
            **dict(zip(names, values, strict=True)),
        )
        each = (plan.params, plan.tokens, plan.loss, plan.total_cost, -plan.marginal_cost)
        return jnp.log(jnp.stack([*each, plan.baseline.params]))

    jacobian = jax.jit(jax.jacrev(outputs))(logs)
    step = 3e-6
    for i in range(logs.size):
        unit = jnp.zeros_like(logs).at[i].set(step)
        central = (outputs(logs + unit) - outputs(logs - unit)) / (2 * step)
        scale = max(1.0, float(jnp.max(jnp.abs(jacobian[:, i]))))
        np.testing.assert_allclose(jacobian[:, i], central, rtol=1e-6, atol=1e-7 * scale)


def test_gradients_at_a_kink():
    """Where two branches of a cost meet the plan follows the place at which they do."""

    def size(knee, tokens):
        def cost(params, _tokens, demand):
            busy = jnp.maximum(params, knee * (params / knee) ** 0.1)
            return sj.Bill(train=6 * params * _tokens, serve=2 * demand.tokens * busy)

        return sj.plan(LAW, cost, sj.Demand(output_tokens=tokens), loss=1.95).params

    assert size(1.3e10, 2e13) == approx(1.3e10, rel=1e-9)
    assert jax.grad(size)(1.3e10, 2e13) == approx(1.0, rel=1e-7)
    assert jax.grad(size, 1)(1.3e10, 2e13) * 2e13 / 1.3e10 == approx(0.0, abs=1e-6)


@pytest.mark.parametrize("bits", [[4, 8, 16], (4.0, 16.0)], ids=["list", "interval"])
def test_an_axis_without_default_is_chosen_or_the_loss_is_out_of_reach(bits):
    law, demand = laws.load("kumar2024"), sj.Demand(output_tokens=1e12)
    plan = sj.plan(law, sj.Flops(), demand, loss=2.9, choices={"train_bits": bits})
    assert 12 <= plan.choices["train_bits"] <= 16
    with pytest.raises(sj.PlanError, match=r"no model reaches loss 2\.6"):
        sj.plan(law, sj.Flops(), demand, loss=2.6, choices={"train_bits": bits})
