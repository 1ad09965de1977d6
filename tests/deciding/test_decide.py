"""Decisions: closed cases, dense searches, certificates, and the theorem about regret."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.deciding import decide, log_normal
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

LAW = laws.HOFFMANN_2022
LOSS, BUDGET = 2.0, 5e23
TARGETS = [{"loss": LOSS}, {"budget": BUDGET}]
RISKS = ["mean", "cvar", "regret"]
FAMILIES = {
    name: each.law
    for name, each in laws.PUBLISHED.items()
    if isinstance(each.law, laws.PowerSum)
} | {
    "tied": laws.Tied(E=1.7, A=300.0, B=500.0, alpha=0.31),
    "coupled": laws.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5),
}


def demands(*tokens):
    return sj.Demand(output_tokens=np.array(tokens))


def many_laws(count: int, seed: int = 0) -> sj.Chinchilla:
    z = np.random.default_rng(seed).normal(size=(4, count))
    return sj.Chinchilla(
        E=1.69 + 0.02 * z[0],
        A=406.4 * np.exp(0.1 * z[1]),
        alpha=0.336 + 0.004 * z[1],
        B=410.7 * np.exp(0.1 * z[2]),
        beta=0.283 + 0.004 * z[3],
    )


def risk_of(outcome: np.ndarray, best: np.ndarray, risk: str, level: float) -> np.ndarray:
    """Risk along the last axis, by the textbook: minimise t + E max(J - t, 0) / (1 - level)."""
    if risk == "mean":
        return outcome.mean(axis=-1)
    if risk == "regret":
        return (outcome - best).max(axis=-1)
    over = outcome[..., None, :] - outcome[..., :, None]
    return (outcome + np.maximum(over, 0).mean(axis=-1) / (1 - level)).min(axis=-1)


@pytest.mark.parametrize("target", TARGETS, ids=["loss", "budget"])
@pytest.mark.parametrize("risk", RISKS)
def test_one_law_and_one_demand_is_plan(target, risk):
    demand = sj.Demand.of_tokens(2e12)
    decision = decide(LAW, sj.Flops(), demand, **target, risk=risk)
    plan = sj.plan(LAW, sj.Flops(), demand, **target)
    best = plan.total_cost if "loss" in target else plan.loss
    for model in (decision.adaptive, decision.fixed):
        assert model.params == float(plan.params)
        assert model.tokens == approx(plan.tokens, rel=1e-13)
        assert model.expected == approx(best, rel=1e-13)
        assert model.worst_regret == approx(0.0, abs=1e-13 * float(best))
        assert (model.reaches, model.value_of) == (1.0, {})
    assert decision.medians["params"] == float(plan.params)
    assert decision.advice == "Nothing is uncertain: the plan is the decision."


@pytest.mark.parametrize("risk", RISKS)
def test_two_demands_of_equal_weight_against_brute_force(risk):
    pair = np.array([2e11, 2e13])
    decision = decide(LAW, sj.Flops(), demands(*pair), loss=LOSS, risk=risk, level=0.3)
    sizes = np.geomspace(0.05, 2.0, 2_000_001) * float(decision.adaptive.params)
    tokens = np.asarray(LAW.tokens_for(LOSS, sizes))
    best = np.array(
        [sj.plan(LAW, sj.Flops(), demands(each), loss=LOSS).total_cost[0] for each in pair]
    )
    low, high = (6 * sizes * tokens + 2 * sizes * each for each in pair)
    worst = np.maximum(low, high)
    dense = {
        "mean": (low + high) / 2,
        "cvar": (worst + 0.4 * np.minimum(low, high)) / 1.4,  # the worst 70 % of two
        "regret": np.maximum(low - best[0], high - best[1]),
    }[risk]
    least = np.nanmin(dense)
    assert decision.adaptive.risk <= least * (1 + 1e-12)
    assert decision.adaptive.risk == approx(least, rel=0, abs=1e-6 * np.mean(best))
    assert decision.adaptive.params == approx(sizes[np.nanargmin(dense)], rel=1e-4)


@pytest.mark.parametrize("target", TARGETS, ids=["loss", "budget"])
@pytest.mark.parametrize("risk", RISKS)
def test_commitments_against_a_dense_search(target, risk):
    stack, pair, level = many_laws(40), log_normal(2e12, 5, samples=40), 0.9
    demand = sj.Demand(output_tokens=pair)
    decision = decide(stack, sj.Flops(), demand, **target, risk=risk, level=level)
    plans = sj.plan(stack, sj.Flops(), demand, **target)
    best = np.asarray(plans.total_cost if "loss" in target else plans.loss)
    price = -np.asarray(plans.marginal_cost)

    def fixed(params, tokens):
        loss = stack.E + stack.A / params**stack.alpha + stack.B / tokens**stack.beta
        cost = params * (6 * tokens + 2 * pair)
        priced = (
            cost + price * (loss - LOSS) if "loss" in target else loss + (cost - BUDGET) / price
        )
        return risk_of(priced, best, risk, level)

    def adaptive(params):
        tokens = (BUDGET / params - 2 * pair) / 6
        if "loss" in target:
            left = LOSS - stack.E - stack.A / params**stack.alpha
            tokens = np.where(left > 0, (stack.B / np.abs(left)) ** (1 / stack.beta), np.inf)
            return risk_of(params * (6 * tokens + 2 * pair), best, risk, level)
        loss = stack.E + stack.A / params**stack.alpha + stack.B / np.abs(tokens) ** stack.beta
        return risk_of(np.where(tokens > 0, loss, np.inf), best, risk, level)

    for width, count in ((3.0, 61), (3e-3, 61)):  # far for the basin, near for the accuracy
        steps = np.exp(np.linspace(-width, width, count))
        sizes = decision.fixed.params * steps[:, None, None]
        dense = fixed(sizes, decision.fixed.tokens * steps[None, :, None]).min()
        assert decision.fixed.risk <= dense + 1e-12 * abs(dense)
        sizes = decision.adaptive.params * np.exp(np.linspace(-width, width, 200 * count))
        with np.errstate(invalid="ignore"):
            dense_adaptive = np.nanmin(adaptive(sizes[:, None]))
        assert decision.adaptive.risk <= dense_adaptive + 1e-12 * abs(dense_adaptive)
    scale = np.mean(best)
    assert dense - decision.fixed.risk < 1e-6 * scale
    assert dense_adaptive - decision.adaptive.risk < 1e-6 * scale
    for model in (decision.fixed, decision.adaptive):
        assert 0 <= model.gap < 1e-11 * scale


def test_a_descent_by_optax_ends_at_the_same_model():
    stack, tokens = many_laws(40), log_normal(2e12, 5, samples=40)
    demand = sj.Demand(output_tokens=tokens)
    decision = decide(stack, sj.Flops(), demand, loss=LOSS)
    scale = decision.expected_optimum

    def expected(x):
        params = jnp.exp(x[0])
        plans = sj.plan(stack, sj.Flops(), demand, loss=LOSS, params=params)
        return jnp.mean(plans.total_cost) / scale

    optimiser = optax.lbfgs()

    @jax.jit
    def step(x, state):
        value, slope = jax.value_and_grad(expected)(x)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            more = {"value": value, "grad": slope, "value_fn": expected}
            update, state = optimiser.update(slope, state, x, **more)
        return optax.apply_updates(x, update), state

    x = jnp.log(jnp.asarray([5e10]))
    state = optimiser.init(x)
    for _ in range(20):
        x, state = step(x, state)
    assert decision.adaptive.params == approx(jnp.exp(x[0]), rel=2e-6)
    assert decision.adaptive.risk / scale == approx(expected(x), rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    served=st.one_of(st.just(0.0), st.floats(8, 17).map(lambda x: 10.0**x)),
    size=st.floats(7, 13).map(lambda x: 10.0**x),
    shifts=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
)
def test_regret_is_never_negative(family, served, size, shifts):
    law, demand = FAMILIES[family], demands(served)
    loss = float(law(size, law.compute_optimal(params=size).tokens))
    plan = sj.plan(law, sj.Flops(), demand, loss=loss)
    params, tokens = plan.params * np.exp(shifts[0]), plan.tokens * np.exp(shifts[1])
    cost, quality = sj.Flops()(params, tokens, demand).total, law(params, tokens)
    priced = cost - plan.marginal_cost * (quality - loss)
    assert float(priced[0]) >= float(plan.total_cost[0]) * (1 - 1e-9)
    finest = sj.plan(law, sj.Flops(), demand, budget=plan.total_cost)
    priced = quality - (cost - plan.total_cost) / finest.marginal_cost
    assert float(priced[0]) >= float(finest.loss[0]) * (1 - 1e-9)


def test_what_knowing_the_only_source_is_worth_is_the_expected_regret():
    decision = decide(
        LAW, sj.Flops(), sj.Demand(output_tokens=log_normal(2e12, 5, samples=40)), loss=LOSS
    )
    for model in (decision.adaptive, decision.fixed):
        assert model.value_of == {"demand": approx(model.regret, rel=1e-6)}
    assert decision.adaptive.expected - decision.adaptive.regret == approx(
        decision.expected_optimum, rel=1e-12
    )
    assert decision.advice.startswith("Most worth finding out is the demand")


def test_each_source_is_worth_less_than_all_and_the_larger_one_is_named():
    tokens = log_normal(2e12, 1.2, samples=40)
    demand = sj.Demand(output_tokens=tokens)
    decision = decide(many_laws(40), sj.Flops(), demand, loss=LOSS, paired=False)
    values = decision.adaptive.value_of
    assert set(values) == {"law", "demand"}
    assert 0 <= values["demand"] < values["law"] < 1.2 * decision.adaptive.regret
    assert "worth finding out is the law" in decision.advice


def test_the_values_of_knowing_against_brute_force():
    stack, tokens = many_laws(40), log_normal(2e12, 5, samples=40)
    demand = sj.Demand(output_tokens=tokens)
    decision = decide(stack, sj.Flops(), demand, loss=LOSS, paired=False)
    sizes = np.geomspace(0.2, 6.0, 40_001) * decision.adaptive.params
    left = LOSS - stack.E[:, None] - stack.A[:, None] / sizes ** stack.alpha[:, None]
    with np.errstate(invalid="ignore"):
        data = (stack.B[:, None] / left) ** (1 / stack.beta[:, None])
    train = np.where(left > 0, 6 * sizes * data, np.inf)
    unknown = np.min(train.mean(axis=0) + 2 * sizes * tokens.mean())
    law_known = np.mean(np.min(train + 2 * sizes * tokens.mean(), axis=1))
    demand_known = np.mean(np.min(train.mean(axis=0) + 2 * sizes * tokens[:, None], axis=1))
    values = decision.adaptive.value_of
    assert values["law"] == approx(unknown - law_known, rel=1e-5)
    assert values["demand"] == approx(unknown - demand_known, rel=1e-5)


def test_a_price_that_scales_everything_is_not_worth_knowing():
    price = log_normal(2.0, 1.5, samples=30)
    cost = sj.Dollars(
        train=sj.TrainFleet(peak_flops=3e14, dollars_per_hour=price),
        serve=sj.ServeFleet(peak_flops=3e14, dollars_per_hour=price),
    )
    decision = decide(LAW, cost, sj.Demand.of_tokens(1e12), loss=LOSS)
    assert decision.unit == "dollars"
    assert decision.adaptive.value_of == {"cost": approx(0.0, abs=1e-6)}
    assert decision.advice.startswith("Nothing is worth finding out")
    assert decision.intervals["params"][0] == approx(decision.intervals["params"][1], rel=1e-12)


def test_a_careful_commitment_is_worse_on_average_and_better_at_worst():
    tokens = log_normal(2e12, 5, samples=40)
    chosen = {
        risk: decide(LAW, sj.Flops(), sj.Demand(output_tokens=tokens), loss=LOSS, risk=risk)
        for risk in RISKS
    }
    models = {risk: each.adaptive for risk, each in chosen.items()}
    assert models["mean"].expected < min(models[each].expected for each in ("cvar", "regret"))
    assert models["regret"].worst_regret < models["mean"].worst_regret
    assert models["cvar"].params < models["mean"].params  # the worst samples serve the most
    assert all(each.expected >= chosen["mean"].expected_optimum for each in models.values())


def test_break_even_is_where_the_plan_saves_one_per_cent():
    decision = decide(LAW, sj.Flops(), demands(1e12, 2e12), loss=LOSS)
    plan = sj.plan(LAW, sj.Flops(), demands(decision.break_even_median), loss=LOSS)
    assert plan.saving[0] == approx(0.01, rel=1e-9)
    assert decision.break_even[0] == approx(decision.break_even[1], rel=1e-12)


def test_log_normal_samples():
    tokens = log_normal(2e12, 5, samples=20_000, seed=3)
    assert np.median(tokens) == approx(2e12, rel=1e-3)
    inside = (tokens > 4e11) & (tokens < 1e13)
    assert inside.mean() == approx(0.95, rel=1e-3)
    sigma = np.log(5) / 1.959964
    assert tokens.mean() == approx(2e12 * np.exp(sigma**2 / 2), rel=2e-3)
    np.testing.assert_array_equal(tokens, log_normal(2e12, 5, samples=20_000, seed=3))
    assert np.corrcoef(tokens, log_normal(2e12, 5, samples=20_000, seed=4))[0, 1] < 0.03
    assert np.all(log_normal(2e12, 1, samples=9) == 2e12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"risk": "median"}, "risk is 'median'; it must be one of mean, cvar, regret"),
        ({"level": 1.0}, "level is 1"),
        ({"loss": None}, "give loss or budget"),
        ({"budget": 1e23}, "loss and budget are both given"),
        ({"loss": -2.0}, "loss is -2; it must be positive and finite"),
        ({"match_params": 7e9}, "loss and match_params are both given"),
        ({"match_tokens": 7e9}, "match_tokens is given without match_params"),
        ({"infeasible": "ignore"}, "infeasible is 'ignore'; it must be shortfall or drop"),
        ({"laws": []}, "laws is an empty list"),
        ({"laws": [(LAW, -1.0)]}, "the weights of the laws are"),
        ({"axes": {"bits": 4.0}}, "reads the axis 'bits'"),
        ({"demands": demands(1e12, -1.0)}, "1 of the 2 samples have an input outside"),
        (
            {"demands": sj.Demand(input_tokens=np.ones(2), output_tokens=np.ones(3))},
            "demand must",
        ),
    ],
)
def test_bad_usage_is_one_sentence(change, message):
    given = {"laws": LAW, "cost": sj.Flops(), "demands": demands(1e12), "loss": LOSS} | change
    with pytest.raises(ValueError, match=message):
        decide(given.pop("laws"), given.pop("cost"), given.pop("demands"), **given)
