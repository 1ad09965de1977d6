"""What counts as one sample, one family, one source of uncertainty."""

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.deciding import decide
from scaling_jax.deciding.scenarios import scenarios
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64


def stack(count: int) -> sj.Chinchilla:
    spread = np.linspace(0.99, 1.01, count)
    return sj.Chinchilla(E=1.69 * spread, A=406.4, alpha=0.336, B=410.7, beta=0.283)


def tied(count: int) -> laws.Tied:
    return laws.Tied(E=np.linspace(1.6, 1.7, count), A=406.4, B=410.7, alpha=0.31)


def demands(count: int) -> sj.Demand:
    return sj.Demand(output_tokens=np.arange(1.0, count + 1) * 1e12)


def drawn(law, demand, *, cost=None, axes=None, paired=True):
    return scenarios(law, cost or sj.Flops(), demand, axes or {}, 0, paired=paired)


def test_stacks_of_one_length_are_paired_as_they_stand_and_one_source():
    found = drawn(stack(6), demands(6))
    (group,) = found.groups()
    np.testing.assert_array_equal(group.law.E, stack(6).E)
    np.testing.assert_array_equal(group.demand.output_tokens, demands(6).output_tokens)
    assert group.law.A.shape == (6,)
    assert found.uncertain == (("law", "demand"),)


def test_shorter_stacks_are_repeated_evenly_and_independent():
    found = drawn(stack(6), demands(2))
    (group,) = found.groups()
    assert sorted(group.demand.output_tokens.tolist()) == [1e12] * 3 + [2e12] * 3
    np.testing.assert_array_equal(
        group.demand.output_tokens, drawn(stack(6), demands(2)).groups()[0].demand.output_tokens
    )
    assert found.uncertain == (("law",), ("demand",))


def test_stacks_said_to_be_independent_are_shuffled_apart():
    found = drawn(stack(60), demands(60), paired=False)
    (group,) = found.groups()
    served = np.sort(group.demand.output_tokens)
    np.testing.assert_array_equal(served, demands(60).output_tokens)
    assert abs(np.corrcoef(group.law.E, group.demand.output_tokens)[0, 1]) < 0.4
    assert found.uncertain == (("law",), ("demand",))


def test_axes_and_prices_are_sources_of_their_own():
    price = np.array([1.0, 2.0, 3.0])
    cost = sj.Dollars(
        train=sj.TrainFleet(peak_flops=3e14, dollars_per_hour=price),
        serve=sj.ServeFleet(peak_flops=3e14, dollars_per_hour=price),
    )
    found = drawn(stack(5), demands(1), cost=cost, axes={"unique": np.array([1.0, 2.0])})
    assert found.uncertain == (("law",), ("cost",), ("unique",))
    assert found.groups()[0].axes["unique"].shape == (5,)


def test_families_come_by_list_weights_mixture_and_source():
    one, other = stack(4), tied(3)
    sourced = laws.Sourced(law=laws.HOFFMANN_2022, resampled=other)
    for given, shares in [
        ([one, other], [0.5, 0.5]),
        ([(one, 1.0), (other, 3.0)], [0.25, 0.75]),
        ([(one, 1), (sourced, 3)], [0.25, 0.75]),
        (laws.Mixture(laws=(one, other), weights=(2.0, 2.0)), [0.5, 0.5]),
        (
            [one, laws.Mixture(laws=(one, other), weights=(1.0, 2.0))],
            [1 / 2, 1 / 6, 1 / 3],
        ),
    ]:
        found = drawn(given, demands(1))
        assert [w.sum() for w in found.weights] == [approx(share) for share in shares]
        assert found.uncertain == (("law",),)
    assert found.size == 4 + 4 + 3
    assert drawn([(one, 1.0), (other, 0.0)], demands(1)).size == 4
    single = laws.Mixture(laws=(laws.HOFFMANN_2022, laws.BESIROGLU_2024), weights=(1.0, 1.0))
    assert drawn(single, demands(2)).size == 2
    assert drawn(laws.Sourced(law=laws.HOFFMANN_2022), demands(1)).size == 1


def test_a_law_paired_with_demand_in_one_family_is_one_source_in_all():
    found = drawn([stack(4), laws.HOFFMANN_2022], demands(4))
    assert found.uncertain == (("law", "demand"),)


@pytest.mark.parametrize("source", ["law", "demand"])
def test_what_a_source_is_worth_to_know_with_two_families_against_brute_force(source):
    one, other, served = stack(10), laws.HOFFMANN_2022, demands(5)
    decision = decide([(one, 1.0), (other, 3.0)], sj.Flops(), served, loss=2.1)
    sizes = np.geomspace(0.05, 8, 60_001) * decision.adaptive.params

    def training(E, law):
        left = 2.1 - E - law.A / sizes**law.alpha
        data = (law.B / np.where(left > 0, left, np.nan)) ** (1 / law.beta)
        return np.nan_to_num(6 * sizes * data, nan=np.inf)

    train = np.stack([*(training(E, one) for E in one.E), training(other.E, other)])
    weights, tokens = np.append(np.full(10, 0.025), 0.75), served.output_tokens
    unknown = np.min(weights @ train + 2 * sizes * tokens.mean())
    known = {
        "law": weights @ np.min(train + 2 * sizes * tokens.mean(), axis=1),
        "demand": np.mean(np.min(weights @ train + 2 * sizes * tokens[:, None], axis=1)),
    }
    assert decision.problem.drawn.uncertain == (("law",), ("demand",))
    saved = decision.adaptive.value_of[source]
    assert saved == approx(unknown - known[source], rel=1e-5)
