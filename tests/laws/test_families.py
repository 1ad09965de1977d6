import dataclasses
import json

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import scaling_jax as sj
from scaling_jax import laws
from tests.conftest import needs_x64
from tests.support import approx

ALL = {
    name: each.law
    for name, each in laws.PUBLISHED.items()
    if isinstance(each.law, laws.PowerSum)
} | {
    "tied": laws.Tied(E=1.7, A=300.0, B=500.0, alpha=0.31),
    "coupled": laws.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5),
}
LAWS = pytest.mark.parametrize("law", ALL.values(), ids=ALL)
SIZES = st.floats(5, 14).map(lambda x: 10.0**x)


@needs_x64
@pytest.mark.parametrize(
    ("law", "params", "tokens", "expected"),
    [
        # Reference implementation of Sardana et al., as confirmed in its README.
        (laws.HOFFMANN_2022, 70e9, 1e12, 1.9472727897172717),
        (laws.HOFFMANN_2022, 13e9, 1e12, 2.0174464),
        # Plain arithmetic of the printed formula.
        (
            laws.HOFFMANN_2022_PRINTED,
            70e9,
            1.4e12,
            1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28,
        ),
        (
            laws.KAPLAN_2020,
            1e9,
            1e10,
            ((6.4e13 / 1e9) ** (0.076 / 0.103) + 1.8e13 / 1e10) ** 0.103,
        ),
    ],
)
def test_losses(law, params, tokens, expected):
    assert law(params, tokens) == approx(expected, rel=3e-8)


@pytest.mark.parametrize(
    ("given_by", "value", "params", "tokens"),
    [
        ("train_flops", 1e24, 53.68e9, 3.105e12),
        ("params", 70e9, 70e9, 4.255e12),
        ("params", 1e9, 1e9, 27.43e9),
        ("params", 7e9, 7e9, 276.4e9),
        ("params", 13e9, 13e9, 576.5e9),
        ("params", 30e9, 30e9, 1.556e12),
    ],
)
def test_printed_allocations(given_by, value, params, tokens):
    best = laws.HOFFMANN_2022.compute_optimal(**{given_by: value})
    assert best.params == approx(params, rel=2e-4)
    assert best.tokens == approx(tokens, rel=2e-4)


@LAWS
def test_the_four_ways_to_an_allocation_agree(law, rtol):
    best = law.compute_optimal(params=3e9)
    loss = law(best.params, best.tokens)
    for key in ({"tokens": best.tokens}, {"train_flops": best.train_flops}, {"loss": loss}):
        other = law.compute_optimal(**key)
        assert other.params == approx(best.params, rel=100 * rtol)
        assert other.tokens == approx(best.tokens, rel=100 * rtol)


@needs_x64
def test_tokens_to_compute_round_trip_that_the_reference_code_gets_wrong():
    best = laws.HOFFMANN_2022.compute_optimal(tokens=1e10)
    again = laws.HOFFMANN_2022.compute_optimal(train_flops=best.train_flops)
    assert again.tokens == approx(1e10, rel=1e-13)  # theirs: 2.27e10


@LAWS
def test_an_allocation_is_optimal_for_its_compute(law):
    best = law.compute_optimal(train_flops=1e22)
    others = best.params * np.array([0.5, 0.9, 0.99, 1.01, 1.1, 2.0])
    assert np.all(law(others, 1e22 / 6 / others) >= law(best.params, best.tokens))


@LAWS
@settings(max_examples=25, deadline=None)
@given(params=SIZES, tokens=SIZES)
def test_inversions_undo_the_loss(law, params, tokens):
    loss = law(params, tokens)
    size_share = jnp.abs(law.loss(params, jnp.inf) / loss - 1)
    data_share = jnp.abs(law.loss(jnp.inf, tokens) / loss - 1)
    # Where a term is lost in rounding, nothing can recover its argument.
    slack = 4000 * jnp.finfo(loss.dtype).eps
    if size_share > 1e-3:
        assert law.tokens_for(loss, params) == approx(tokens, rel=float(slack / size_share))
    if data_share > 1e-3:
        assert law.params_for(loss, tokens) == approx(params, rel=float(slack / data_share))


@LAWS
@settings(max_examples=25, deadline=None)
@given(params=SIZES, tokens=SIZES, factor=st.floats(1.5, 100))
def test_more_params_and_more_tokens_never_hurt(law, params, tokens, factor):
    assert law(params * factor, tokens) <= law(params, tokens)
    assert law(params, tokens * factor) <= law(params, tokens)


@LAWS
def test_every_law_is_a_pytree_that_jits_vmaps_and_broadcasts(law, float_dtype):
    tree = jax.tree.map(jnp.asarray, law)
    direct = law(1e9, 1e11)
    assert direct.dtype == float_dtype
    assert jax.jit(lambda law: law(1e9, 1e11))(tree) == approx(direct, rel=1e-6)
    stacked = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 3), law)
    batch = jax.vmap(lambda law: law(1e9, 1e11))(stacked)
    assert batch.shape == (3,)
    assert law(np.ones((3, 1)) * 1e9, np.ones((3, 4)) * 1e11).shape == (3, 4)


@needs_x64
@LAWS
@pytest.mark.parametrize("params", [1e0, 1e5, 1e9, 1e18])
@pytest.mark.parametrize("tokens", [1e0, 1e9, 1e18])
def test_gradients_are_finite_and_right_at_extreme_sizes(law, params, tokens):
    point = (jnp.asarray(params), jnp.asarray(tokens))
    gradient = jax.grad(law, (0, 1))(*point)
    forward = jax.jacfwd(law, (0, 1))(*point)
    for i, x in enumerate(point):
        step = 1e-6 * x
        up, down = ([*point[:i], x + sign * step, *point[i + 1 :]] for sign in (1, -1))
        central = (law(*up) - law(*down)) / (2 * step)
        rounding = 1e-15 * abs(law(*point)) / step  # of the central difference
        assert gradient[i] == approx(central, rel=1e-6, abs=10 * rounding)
        assert gradient[i] == approx(forward[i], rel=1e-12)
        assert jnp.isfinite(gradient[i])
    assert all(
        jnp.isfinite(leaf) for leaf in jax.tree.leaves(jax.grad(lambda w: w(*point))(law))
    )


def test_a_new_law_is_its_fields_and_its_formula():
    class Logarithmic(sj.Law):
        """L = 10 - a log(N D)."""

        a: float

        def loss(self, params, tokens):
            return jnp.asarray(10 - self.a * jnp.log(params * tokens))

    law = Logarithmic(a=0.1)
    assert jax.grad(lambda law: law(1e3, 1e3))(law).a == approx(-np.log(1e6))


@pytest.mark.parametrize("keys", [{}, {"params": 1e9, "tokens": 1e9}])
def test_an_allocation_needs_exactly_one_quantity(keys):
    with pytest.raises(ValueError, match=r"exactly one of .* given"):
        laws.HOFFMANN_2022.compute_optimal(**keys)


@LAWS
def test_json_round_trip(law, tmp_path):
    laws.save(law, tmp_path / "law.json")
    again = laws.load(tmp_path / "law.json")
    assert type(again) is type(law)
    assert vars(again) == vars(law)


def test_resampled_laws_travel_with_the_law(tmp_path):
    law = laws.HOFFMANN_2022
    many = jax.tree.map(lambda x: np.linspace(x, 1.1 * x, 5), law)
    laws.save(laws.Sourced(law=law, resampled=many), tmp_path / "law.json")
    again = laws.load_sourced(tmp_path / "law.json").resampled
    assert np.array_equal(again.alpha, many.alpha)
    assert laws.load(tmp_path / "law.json").alpha == law.alpha
    laws.save(law, tmp_path / "law.json")
    assert laws.load_sourced(tmp_path / "law.json").resampled is None
    assert laws.load_sourced("kaplan2020").resampled is None


def test_one_wrong_number_of_many_is_named(tmp_path):
    law = laws.HOFFMANN_2022
    beta = np.append(np.full(400, 0.3), 0.0)
    many = jax.tree.map(lambda leaf: np.full(401, leaf), law)
    laws.save(
        laws.Sourced(law=law, resampled=dataclasses.replace(many, beta=beta)),
        tmp_path / "law.json",
    )
    with pytest.raises(ValueError, match=r"beta is 0\.0 in resample 401; it must be positive"):
        laws.load_sourced(tmp_path / "law.json")


def test_a_published_law_is_found_by_name():
    assert laws.load("Besiroglu2024") is laws.BESIROGLU_2024


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "does not hold a law"),
        ('{"coefficients": {}}', "no key 'law'"),
        ('{"law": "cubic", "coefficients": {}}', "its law is 'cubic'; known are chinchilla"),
        ('{"law": "chinchilla", "coefficients": {"E": 1}}', "chinchilla needs 'A'"),
        (
            json.dumps(
                {"law": "tied", "coefficients": dict.fromkeys(("E", "A", "B", "alpha", "x"), 1)}
            ),
            "tied has no 'x'",
        ),
        (
            json.dumps(
                {
                    "law": "chinchilla",
                    "coefficients": {"E": 1, "A": -2, "alpha": 1, "B": 1, "beta": 1},
                }
            ),
            "A is -2.0; it must be positive",
        ),
        ("[1]", "not a JSON object"),
        ('{"law": "tied", "coefficients": [1]}', "they must be an object"),
        (
            '{"law": "tied", "coefficients": {"E": "x", "A": 1, "B": 1, "alpha": 1}}',
            "E is 'x'; it must be a number",
        ),
    ],
)
def test_a_file_that_holds_no_law_is_refused(content, message, tmp_path):
    path = tmp_path / "law.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        laws.load(path)


def test_an_unknown_law_names_the_nearest():
    with pytest.raises(ValueError, match="nearest published law is hoffmann2022"):
        laws.load("hofmann2022")
    with pytest.raises(ValueError, match="published laws are hoffmann2022, "):
        laws.load("zzzz")
