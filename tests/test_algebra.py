"""Laws made of laws: mixtures, repeated data, where they may be believed, their files."""

import json

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import scaling_jax as sj
from scaling_jax import laws
from tests.conftest import X64, needs_x64
from tests.support import approx

REPEATED = laws.MUENNIGHOFF_2023
MIXED = sj.Mixture(
    laws=(laws.HOFFMANN_2022, sj.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5)),
    weights=(0.25, 0.75),
)
SIZES = st.floats(6, 12).map(lambda x: 10.0**x)


def muennighoff(n, d, u):
    """The published formulas as they are printed, in NumPy (arXiv 2305.16264, appendix A)."""
    law, r_d, r_n = REPEATED.base, REPEATED.R_D, REPEATED.R_N
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    unique_n = min(n, (u * g) ** (law.beta / law.alpha) * g)
    unique_d = min(u, d)
    repeats_d, repeats_n = max(d / unique_d - 1, 0), max(n / unique_n - 1, 0)
    d_worth = unique_d * (1 + r_d * (1 - np.exp(-repeats_d / r_d)))
    n_worth = unique_n * (1 + r_n * (1 - np.exp(-repeats_n / r_n)))
    return law.E + law.A / n_worth**law.alpha + law.B / d_worth**law.beta


@needs_x64
@pytest.mark.parametrize(
    ("params", "tokens", "expected"),
    [(6.34e9, 242e9, 2.2256440889984477), (8.67e9, 178e9, 2.2269634075087867)],
)
def test_repeated_data_golden_values(params, tokens, expected):
    assert REPEATED(params, tokens, unique_tokens=25e9) == approx(expected, 1e-9)


@settings(max_examples=40, deadline=None)
@given(n=SIZES, d=SIZES, u=SIZES)
def test_repeated_data_is_the_printed_formula(n, d, u):
    rel = 1e-10 if X64 else 2e-5
    assert REPEATED(n, d, unique_tokens=u) == approx(muennighoff(n, d, u), rel)


@needs_x64
@settings(max_examples=40, deadline=None)
@given(n=SIZES, d=SIZES, u=SIZES)
def test_repeats_help_less_than_fresh_data_and_never_harm(n, d, u):
    loss = REPEATED(n, d, unique_tokens=u)
    assert REPEATED(n, d, unique_tokens=2 * u) <= loss * (1 + 1e-12)
    assert REPEATED(n, 2 * d, unique_tokens=u) <= loss * (1 + 1e-12)
    assert REPEATED(2 * n, d, unique_tokens=u) <= loss * (1 + 1e-12)
    assert REPEATED(n, d, unique_tokens=1e20) == approx(REPEATED.base(n, d), 1e-12)


@needs_x64
@settings(max_examples=40, deadline=None)
@given(n=SIZES, d=SIZES, u=SIZES)
def test_inversions_of_repeated_data_undo_the_loss(n, d, u):
    best = REPEATED.base.compute_optimal(tokens=u)
    if d > 20 * u or n > 20 * best.params:
        return  # worth almost nothing more: the inverse has no digits left
    loss = REPEATED(n, d, unique_tokens=u)
    assert REPEATED.tokens_for(loss, n, unique_tokens=u) == approx(d, 1e-6)
    again = REPEATED.params_for(loss, d, unique_tokens=u)
    assert REPEATED(again, d, unique_tokens=u) == approx(loss, 1e-9)


def test_what_repeats_cannot_reach_is_nan():
    assert np.isnan(REPEATED.tokens_for(2.0, params=1e9, unique_tokens=1e9))
    assert np.isnan(REPEATED.params_for(1.0, tokens=1e12, unique_tokens=1e9))


@needs_x64
def test_laws_without_closed_inverses_are_inverted_by_bisection():
    tokens = jnp.array([1e9, 1e11, 1e13])
    loss = MIXED(3e9, tokens)
    np.testing.assert_allclose(MIXED.tokens_for(loss, 3e9), tokens, rtol=1e-11)
    np.testing.assert_allclose(MIXED.params_for(loss, tokens), 3e9, rtol=1e-11)
    assert np.isnan(MIXED.tokens_for(1.3, 3e9))
    # d log D / d loss at fixed N is one over d loss / d log D.
    slope = jax.grad(lambda x: jnp.log(MIXED.tokens_for(x, 3e9)))(float(loss[1]))
    back = jax.grad(lambda d: MIXED(3e9, jnp.exp(d)))(np.log(1e11))
    assert slope == approx(1 / back, 1e-9)


def test_a_mixture_is_the_weighted_mean():
    expected = 0.25 * MIXED.laws[0](3e9, 1e11) + 0.75 * MIXED.laws[1](3e9, 1e11)
    assert MIXED(3e9, 1e11) == approx(expected, 1e-6)
    twice = sj.Mixture(laws=MIXED.laws, weights=(2.5, 7.5))
    assert twice(3e9, 1e11) == approx(expected, 1e-6)


def test_a_wrong_number_inside_a_mixture_is_named():
    from scaling_jax._pytree import fields_with_domain

    bad = sj.Mixture(
        laws=(sj.Chinchilla(E=1.0, A=-300.0, alpha=0.3, B=400.0, beta=0.3),), weights=(-1.0,)
    )
    wrong = [
        path for path, x, domain in fields_with_domain(bad, "law") if not domain.contains(x)
    ]
    assert wrong == ["law.laws.0.A", "law.weights.0"]


@pytest.mark.parametrize("law", [REPEATED, MIXED], ids=["repeated", "mixture"])
def test_nested_laws_go_to_json_and_back(law, tmp_path):
    path = tmp_path / "law.json"
    many = jax.tree.map(lambda x: np.linspace(x, 1.1 * x, 5), law)
    valid = laws.Valid.of([1e8, 1e9], [2e9, 1e11], unique_tokens=[1e9, 2e9], name=["a", "b"])
    laws.save(
        laws.Sourced(law=law, resampled=many, valid=valid, source="here", warnings=("odd",)),
        path,
    )
    again = laws.load_sourced(path)
    assert laws.coefficients(again.law) == laws.coefficients(law)
    assert type(again.law) is type(law)
    np.testing.assert_array_equal(
        np.array(jax.tree.leaves(again.resampled)), np.array(jax.tree.leaves(many))
    )
    assert again.valid == valid
    assert list(again.valid.axes) == ["unique_tokens"]
    assert (again.source, again.warnings) == ("here", ("odd",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": {"repeated": {"base": "cubic"}}}, "its law is 'cubic'"),
        ({"law": "repeated"}, "repeated needs 'base'"),
        ({"law": {}}, "its law is '{}'"),
        (
            {"valid": {"params": [1, 2, 3]}},
            r"valid\.params is \[1, 2, 3\]; it must be a lowest",
        ),
        ({"valid": {"size": [1, 2]}}, "valid has no 'size'"),
        ({"coefficients": {"base.E": 1.0}}, r"chinchilla needs 'base\.A'"),
    ],
)
def test_odd_nested_files_are_told(change, message, tmp_path):
    path = tmp_path / "law.json"
    laws.save(REPEATED, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        laws.load(path)


def test_where_a_law_may_be_believed():
    valid = laws.PUBLISHED["sardana2024-100"].valid
    assert valid.beyond(1e9, 5e10) is None
    assert valid.beyond(1e9, 100.02e9) is None  # a whole number of batches
    said = valid.beyond(1e9, 1e12)
    assert said == (
        "4.07 times above the runs behind the law in tokens, and "
        "10 times above the runs behind the law in tokens/param"
    )
    small = laws.Valid(params=(1e8, 1e9), axes={"serve_bits": (4, 16)})
    assert small.factors(1e7, 1.0, serve_bits=2.0) == {"params": 0.1, "serve_bits": 0.5}
