"""The model that is optimal for training compute, under any law."""

import jax
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.planning import compute_optimal
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64
LAW = laws.HOFFMANN_2022
GIVEN = ({"params": 7e9}, {"tokens": 3e11}, {"train_flops": 1e22}, {"loss": 2.1})


def formula(params, tokens):
    return 1.69 + 406.4 / params**0.336 + 410.7 / tokens**0.283


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_a_function_that_is_hoffmanns_has_hoffmanns_allocations(given):
    expected, mine = LAW.compute_optimal(**given), compute_optimal(formula, **given)
    assert mine.params == approx(expected.params, rel=1e-9)
    assert mine.tokens == approx(expected.tokens, rel=1e-9)


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_a_sum_of_powers_is_in_closed_form_and_sourced_ones_are_unwrapped(given):
    expected = LAW.compute_optimal(**given)
    found = compute_optimal(laws.PUBLISHED["hoffmann2022"], **given)
    assert float(found.params) == float(expected.params)


def test_repeated_data_against_a_search():
    law, axes = laws.MUENNIGHOFF_2023, {"unique_tokens": 1e10}
    best = compute_optimal(law, params=3e9, axes=axes)
    product = 3e9 * float(best.tokens)
    sizes = 3e9 * np.geomspace(0.5, 2, 20001)
    searched = sizes[np.argmin(np.asarray(law(sizes, product / sizes, **axes)))]
    assert searched == approx(3e9, rel=1e-3)


def test_batched_and_differentiable():
    sizes = np.array([1e9, 7e9, 70e9])
    many = compute_optimal(formula, params=sizes)
    assert many.tokens.tolist() == pytest.approx(LAW.compute_optimal(params=sizes).tokens)
    slope = jax.grad(lambda n: compute_optimal(formula, params=n).tokens)(7e9)
    assert slope * 7e9 / compute_optimal(formula, params=7e9).tokens == approx(0.336 / 0.283)


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="exactly one of"):
        compute_optimal(formula, params=1e9, loss=2.0)
    with pytest.raises(ValueError, match="needs the axis 'unique_tokens'"):
        compute_optimal(laws.MUENNIGHOFF_2023, params=1e9)
    with pytest.raises(sj.PlanError):
        compute_optimal(formula, loss=1.5)
