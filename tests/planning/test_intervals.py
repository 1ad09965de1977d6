"""How plans differ under resampled laws."""

import jax
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.planning import intervals
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64
DEMAND = sj.Demand.of_tokens(1e12)


@pytest.fixture(scope="module")
def many():
    """60 laws around Hoffmann's."""
    random = np.random.default_rng(0)
    middle = laws.coefficients(laws.HOFFMANN_2022)
    return laws.Chinchilla(
        **{name: x * np.exp(0.02 * random.normal(size=60)) for name, x in middle.items()}
    )


def each_of(many):
    return [jax.tree.map(lambda leaf, i=i: float(leaf[i]), many) for i in range(60)]


def test_every_law_answers_for_itself(many):
    found = intervals(many, sj.Flops(), DEMAND, match_params=7e9)
    plans = []
    for law in each_of(many):  # one by one, each with the loss of its own 7B model
        matched = law.compute_optimal(params=7e9)
        plans.append(sj.plan(law, sj.Flops(), DEMAND, loss=law(matched.params, matched.tokens)))
    assert (found.laws, found.feasible) == (60, 60)
    for name in ("params", "tokens", "loss", "total_cost"):
        expected = np.quantile([float(getattr(p, name)) for p in plans], (0.025, 0.975))
        assert found.central[name] == pytest.approx(expected, rel=1e-9), name
    frozen = intervals(many, sj.Flops(), DEMAND, loss=float(plans[0].loss)).central[
        "total_cost"
    ]
    matched = found.central["total_cost"]
    assert np.ptp(np.log(matched)) < np.ptp(np.log(frozen))


def test_a_sourced_law_is_asked_by_its_resamples_and_the_rest_are_counted(many):
    floors = np.append(np.full(59, 1.69), 2.2)  # the last never reaches a loss of 2
    stack = laws.with_coefficients(many, {"E": floors})
    sourced = sj.Sourced(law=laws.HOFFMANN_2022, resampled=stack)
    found = intervals(sourced, sj.Flops(), DEMAND, loss=2.0, share=0.5)
    assert (found.laws, found.feasible) == (60, 59)
    low, high = found.central["params"]
    params = np.asarray(found.plans.params)
    assert np.isnan(params[-1])
    assert np.mean((params[:-1] >= low) & (params[:-1] <= high)) == approx(0.5, abs=0.02)


def test_any_law_and_cost_with_axes(many):
    def cost(params, tokens, demand, bits):
        serve = params**0.5 * demand.tokens * bits * 1e4
        return sj.Bill(train=6 * params * tokens, serve=serve)

    found = intervals(many, cost, DEMAND, loss=2.2, choices={"bits": [4.0, 8.0]})
    assert found.feasible == 60
    assert found.central["bits"] == (4.0, 4.0)


@pytest.mark.parametrize("law", [laws.HOFFMANN_2022, sj.Sourced(law=laws.HOFFMANN_2022)])
def test_one_law_has_no_intervals(law):
    with pytest.raises(ValueError, match="intervals needs many laws of one family"):
        intervals(law, sj.Flops(), DEMAND, loss=2.2)


def test_the_share_is_between_0_and_1(many):
    with pytest.raises(ValueError, match="share is 2; it must be between 0 and 1"):
        intervals(many, sj.Flops(), DEMAND, loss=2.2, share=2)
