"""Bad input: one clear sentence at the Python edge, a status and NaN inside jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import scaling_jax as sj
from scaling_jax.laws import HOFFMANN_2022 as LAW
from tests.conftest import X64
from tests.support import approx

DEMAND = sj.Demand(output_tokens=1e12)


def dollars(**serve) -> sj.Dollars:
    return sj.Dollars(
        train=sj.TrainFleet.of("A100-80GB"), serve=sj.ServeFleet.of("A100-40GB", **serve)
    )


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({}, ValueError, "give loss or budget"),
        ({"loss": 2.0, "budget": 1e22}, ValueError, "loss and budget are both given"),
        ({"loss": float("nan")}, ValueError, "loss is nan; it must be positive and finite"),
        ({"loss": -1.0}, ValueError, "loss is -1; it must be positive and finite"),
        ({"budget": 0}, ValueError, "budget is 0; it must be positive and finite"),
        ({"loss": 2, "max_params": -1}, ValueError, "max_params is -1; it must be positive"),
        ({"loss": 2, "params": 1e9, "tokens": 1e9}, ValueError, "both fixed"),
        ({"loss": 2, "params": 1e9, "max_params": 1e9}, ValueError, "params and max_params"),
        ({"loss": "2"}, TypeError, "loss is '2'; it must be a real number"),
        ({"loss": 1.69}, sj.PlanError, "loss 1.69 cannot be reached; .* the law's floor 1.69"),
        ({"loss": 1.2}, sj.PlanError, "loss 1.2 cannot be reached; .* the law's floor 1.69"),
        (
            {"loss": 1.8, "max_params": 1e9},
            sj.PlanError,
            r"loss 1\.8 cannot be reached with max_params 1e\+09, .* lowest loss is 2\.07",
        ),
        (
            {"loss": 2.2, "max_params": 1e9, "max_tokens": 1e11},
            sj.PlanError,
            r"with max_params 1e\+09 and max_tokens 1e\+11, where the lowest loss is 2\.39",
        ),
        ({"loss": 1.8, "params": 1e9}, sj.PlanError, "with params 1e"),
        ({"loss": 2.0, "params": 1e9, "max_tokens": 1e10}, sj.PlanError, "cannot be reached"),
        (
            {"budget": 1e20, "params": 1e12},
            sj.PlanError,
            r"no model is found of budget 1e\+20 with params 1e\+12; raise the budget or relax",
        ),
        (
            {"loss": 2.0, "choices": {"bits": (4, 2)}},
            ValueError,
            r"choices\['bits'\] is \(4, 2\)",
        ),
    ],
    ids=str,
)
def test_one_sentence_names_the_value(query, error, message):
    with pytest.raises(error, match=message) as caught:
        sj.plan(LAW, sj.Flops(), DEMAND, **query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (LAW, sj.Flops(), sj.Demand(output_tokens=-5.0)),
            "demand.output_tokens is -5; it must be zero or more",
        ),
        ((LAW, dollars(decode_mfu=1.5), DEMAND), r"cost.serve.decode_mfu is 1.5; .* \(0, 1\]"),
        ((LAW, dollars(prefill_mfu=0.0), DEMAND), r"cost.serve.prefill_mfu is 0; .* \(0, 1\]"),
        (
            (sj.Chinchilla(E=1.0, A=1.0, alpha=-0.3, B=1.0, beta=0.3), sj.Flops(), DEMAND),
            "law.alpha is -0.3; it must be positive",
        ),
    ],
)
def test_every_record_is_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        sj.plan(*arguments, loss=2.0)


@pytest.mark.parametrize(
    ("loss", "tokens", "limit", "status"),
    [
        (1.6, 1e12, 1e30, sj.Status.INFEASIBLE),
        (1.69, 1e12, 1e30, sj.Status.INFEASIBLE),
        (float("nan"), 1e12, 1e30, sj.Status.INVALID),
        (-1.0, 1e12, 1e30, sj.Status.INVALID),
        (2.0, -1.0, 1e30, sj.Status.INVALID),
        (2.0, float("nan"), 1e30, sj.Status.INVALID),
        (2.0, float("inf"), 1e30, sj.Status.INVALID),
        (1.8, 1e12, 1e9, sj.Status.INFEASIBLE),
        (1e300 if X64 else 1e35, 1e12, 1e30, sj.Status.OUT_OF_RANGE),
    ],
)
def test_inside_jit_a_status_and_nan_in_values_and_derivatives(loss, tokens, limit, status):
    @jax.jit
    def run(loss, tokens):
        def size(loss, tokens):
            plan = sj.plan(
                LAW, sj.Flops(), sj.Demand(output_tokens=tokens), loss=loss, max_params=limit
            )
            return plan.params, plan

        return jax.value_and_grad(size, (0, 1), has_aux=True)(loss, tokens)

    (_, plan), gradient = run(jnp.asarray(loss), jnp.asarray(tokens))
    assert plan.status == status
    if status == sj.Status.OUT_OF_RANGE:
        assert not jnp.isfinite(plan.total_cost)
        return
    spoilt = plan.params, plan.tokens, plan.loss, plan.total_cost, plan.baseline.params
    assert all(jnp.isnan(x) for x in (*spoilt, plan.saving, plan.marginal_cost, *gradient))


def test_a_batch_carries_the_failures_of_its_rows():
    plan = sj.plan(LAW, sj.Flops(), DEMAND, loss=np.array([1.5, 2.0, np.nan]))
    assert plan.status.tolist() == [sj.Status.INFEASIBLE, 0, sj.Status.INVALID]
    assert np.isnan(plan.params).tolist() == [True, False, True]


def test_the_general_path_reports_failure_as_well():
    def cost(params, tokens, demand):
        return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens)

    with pytest.raises(sj.PlanError, match=r"no model reaches loss 1\.5"):
        sj.plan(lambda n, d: 1.69 + 400 / n**0.3 + 400 / d**0.3, cost, DEMAND, loss=1.5)


ANY = st.floats(allow_nan=True, allow_infinity=True)
WIDE = st.floats(-30, 30).map(lambda x: 10.0**x)


@settings(max_examples=300, deadline=None)
@given(loss=ANY | st.floats(1.0, 10.0), tokens=ANY | WIDE)
@example(loss=1.69, tokens=0.0)
@example(loss=float(np.nextafter(1.69, 2)), tokens=1e18)
@example(loss=5e-324, tokens=1e12)
def test_arbitrary_floats_give_a_plan_or_a_sentence(loss, tokens):
    demand = sj.Demand(output_tokens=tokens)
    try:
        plan = sj.plan(LAW, sj.Flops(), demand, loss=loss)
    except ValueError as error:
        assert str(error)
        return
    numbers = plan.params, plan.tokens, plan.total_cost, plan.baseline.total_cost
    assert all(jnp.isfinite(x) and x > 0 for x in numbers)
    assert LAW(plan.params, plan.tokens) == approx(loss, rel=1e-9 if X64 else 1e-5)


@settings(max_examples=200, deadline=None)
@given(
    coefficients=st.tuples(WIDE, WIDE, st.floats(0.01, 5), WIDE, st.floats(0.01, 5)),
    budget=WIDE,
    tokens=WIDE | st.just(0.0),
)
def test_arbitrary_laws_and_budgets_give_a_plan_or_a_sentence(coefficients, budget, tokens):
    law = sj.Chinchilla(
        **dict(zip(("E", "A", "alpha", "B", "beta"), coefficients, strict=True))
    )
    try:
        plan = sj.plan(law, sj.Flops(), sj.Demand(output_tokens=tokens), budget=budget)
    except sj.PlanError as error:
        assert str(error)
        return
    assert plan.total_cost == approx(budget, rel=1e-6 if X64 else 1e-2)
    assert jnp.isfinite(plan.loss)


@jax.jit
def _jitted(law, demand, loss):
    return sj.plan(law, sj.Flops(), demand, loss=loss)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(ANY, min_size=7, max_size=7))
def test_arbitrary_numbers_everywhere_never_end_in_a_silent_number(values):
    law = sj.Chinchilla(**dict(zip(("E", "A", "alpha", "B", "beta"), values[:5], strict=True)))
    demand = sj.Demand(output_tokens=values[5])
    plan = _jitted(law, demand, values[6])
    if plan.status == sj.Status.CONVERGED:
        assert jnp.isfinite(plan.total_cost)
        assert plan.params > 0
    else:
        assert not jnp.isfinite(plan.total_cost + plan.baseline.total_cost)
