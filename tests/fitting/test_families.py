"""Any law: the wider families, nested laws, further axes, laws of one's own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.fitting import fit, holdout, influence, profile, refit
from scaling_jax.laws import Chinchilla, Exponent, Floor, Fraction, Law, Positive, Repeated
from scaling_jax.runs import CPU47, Runs, read_runs
from scaling_jax.solve import Status
from tests.conftest import DATA, X64

# The lowest objectives on our own runs; `benchmarks/fit_families.py` says how they were found.
BEST_CPU47 = {
    "driftingratio": 7.1505534662e-04,
    "scaledratio": 7.3523588088e-04,
    "coupledratio": 7.4712557712e-04,
    "saturatingdata": 7.0857818678e-04,
    "computeratio": 7.8685613884e-04,
    "boundedrational": 2.0252951524e-04,
    "farseer": 2.6344238534e-04,
    "tiedcoupled": 7.9388336153e-04,
    "coupledgrowth": 7.0086463520e-04,
    "fixedcapacity": 7.6015085353e-04,
    "logquadratic": 2.8913778352e-04,
}
VALUES = {"E": 1.5, "L0": 9.0, "A": 400.0, "B": 900.0, "C": 1e-3, "a": 60.0, "b": 700.0}


def formula(name, c, n, d):
    """Return the loss as the documentation writes it, in NumPy."""
    m = d / n
    if name == "driftingratio":
        return (
            c["E"]
            + c["A"] / n ** c["alpha"]
            + c["B"] / m ** (c["beta"] + c["gamma"] * np.log(n))
        )
    if name == "scaledratio":
        return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / (n ** c["gamma"] * m ** c["beta"])
    if name == "coupledratio":
        return c["E"] + (c["A"] + c["B"] / m ** c["beta"]) ** c["k"] / n ** c["alpha"]
    if name == "saturatingdata":
        seen = d / (1 + d / (c["c"] * n ** c["q"]))
        return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / seen ** c["beta"]
    if name == "computeratio":
        return (
            c["E"] + (c["a"] * m ** c["rise"] + c["b"] / m ** c["fall"]) / (n * d) ** c["eta"]
        )
    if name == "boundedrational":
        h = (
            c["A"] / n ** c["alpha"]
            + c["B"] / d ** c["beta"]
            + c["C"] * n ** c["gamma"] / d ** c["delta"]
        )
        return c["E"] + (c["L0"] - c["E"]) * h / (1 + h)
    if name == "tiedcoupled":
        return c["E"] + (c["A"] / n ** c["alpha"] + c["B"] / d ** c["alpha"]) ** c["k"]
    if name == "coupledgrowth":
        data = c["B"] * n ** c["gamma"] / d ** c["beta"]
        return c["E"] + (c["A"] / n ** c["alpha"] + data) ** c["k"]
    if name == "fixedcapacity":
        seen = d / (1 + d / (c["c"] * n))
        return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / seen ** c["beta"]
    if name == "logquadratic":
        x, y = np.log(n), np.log(d)
        slopes = c["level"] + c["n"] * x + c["d"] * y
        return np.exp(slopes + c["nn"] * x**2 + c["nd"] * x * y + c["dd"] * y**2)
    exponent = np.exp(c["a1"] * n ** c["alpha"] + c["b1"])
    floor = np.exp(c["a3"] * n ** c["gamma"] + c["b3"])
    return floor + np.exp(c["a2"] * n ** c["beta"] + c["b2"]) / d**exponent


@pytest.mark.parametrize("name", BEST_CPU47)
def test_formulas(name):
    family = laws.FAMILIES[name]
    fields = [field.name for field in dataclasses.fields(family)]
    exponents = dict(zip(fields, np.linspace(0.05, 0.4, len(fields)), strict=True))
    if name == "farseer":
        exponents |= {"alpha": 0.02, "beta": -0.1, "gamma": -0.05}
    if name == "logquadratic":
        exponents |= {"d": -0.05, "nn": 0.001, "nd": -0.002, "dd": 0.0005}
    values = {field: VALUES.get(field, exponents[field]) for field in fields}
    n, d = np.array([1e7, 1e9, 1e12]), np.array([1e9, 3e11, 1e13])
    loss = family(**values)(n, d)
    rtol = 1e-12 if X64 else 1e-4
    np.testing.assert_allclose(loss, formula(name, values, n, d), rtol=rtol)
    with jax.enable_x64(False):
        assert np.isfinite(family(**values)(n, d)).all()


@pytest.mark.parametrize("name", BEST_CPU47)
def test_the_best_known_objective_from_two_seeds(name):
    for seed in range(2):
        fitted = fit(CPU47, laws.FAMILIES[name], seed=seed)
        assert fitted.objective <= BEST_CPU47[name] * (1 + 1e-6)
        assert fitted.status == Status.CONVERGED
        with jax.enable_x64(True):
            predicted = np.log(fitted.law(CPU47.params, CPU47.tokens))
        np.testing.assert_allclose(predicted - np.log(CPU47.loss), fitted.residuals, atol=1e-7)


class Copy(Law):
    """Chinchilla as a user writes it, with names of their own."""

    lowest: Floor
    size: Positive
    k: Exponent
    data: Positive
    d: Exponent

    def loss(self, params, tokens):
        return self.lowest + self.size / params**self.k + self.data / tokens**self.d


@pytest.fixture(scope="module")
def copied(sardana):
    return fit(sardana, Copy)


def test_a_copy_of_ours_is_fitted_as_ours(sardana, copied):
    ours = fit(sardana)
    assert copied.objective == pytest.approx(ours.objective, rel=1e-9)
    assert copied.starts_converged > 0.9
    np.testing.assert_allclose(
        list(laws.coefficients(copied.law).values()),
        list(laws.coefficients(ours.law).values()),
        rtol=1e-4,
    )
    assert copied.condition_number == pytest.approx(ours.condition_number, rel=1e-3)
    for name, other in zip(ours.intervals, copied.intervals, strict=True):
        assert copied.intervals[other] == pytest.approx(ours.intervals[name], rel=0.05)
    assert [len(w) > 0 for w in copied.warnings] == [len(w) > 0 for w in ours.warnings]


def test_warnings_go_by_what_a_coefficient_is_not_by_its_name(copied):
    assert not [text for text in copied.warnings if "k is at its bound" in text]


def test_an_exponent_called_k_has_no_bound_of_ours(planted):
    law = Copy(lowest=1.5, size=1.0, k=0.02, data=400.0, d=0.3)
    fitted = fit(planted(law), Copy)
    assert fitted.law.k == pytest.approx(0.02, rel=1e-3)
    assert not [text for text in fitted.warnings if "bound" in text]
    floorless = planted(Copy(lowest=0.0, size=10.0, k=0.1, data=20.0, d=0.12))
    notes = fit(floorless, Copy).warnings
    assert [text for text in notes if "lowest is at its bound of zero" in text]


@pytest.mark.slow
def test_profiles_refits_and_influence_of_a_copy(planted):
    runs = planted(noise=0.01)
    ours, own = fit(runs), fit(runs, Copy)
    curves = profile(own, points=4)
    for name, other in zip(profile(ours, points=4).items(), curves.values(), strict=True):
        assert other.interval == pytest.approx(name[1].interval, rel=0.05)
    np.testing.assert_allclose(
        influence(own)["k"], influence(ours)["alpha"], rtol=1e-3, atol=1e-6
    )
    with jax.enable_x64(True):
        again = refit(own, runs.loss * np.linspace(1.0, 1.002, 36))
        expected = refit(ours, runs.loss * np.linspace(1.0, 1.002, 36))
    assert float(again.k) == pytest.approx(float(expected.alpha), rel=1e-5)


class Logs(Law):
    """Levels as logarithms, as Hoffmann et al. fit them."""

    e: laws.Real
    a: laws.Real
    alpha: Exponent
    b: laws.Real
    beta: Exponent

    def loss(self, params, tokens):
        size = jnp.exp(self.a - self.alpha * jnp.log(params))
        return jnp.exp(self.e) + size + jnp.exp(self.b - self.beta * jnp.log(tokens))


def test_levels_as_logarithms(sardana):
    fitted = fit(sardana, Logs)
    assert fitted.objective == pytest.approx(6.1998434e-4, rel=1e-6)
    assert fitted.starts_converged > 0.5


class Bits(Law):
    """A third variable, and an inner law."""

    base: Chinchilla
    cost: Positive

    def loss(self, params, tokens, *, bits):
        return self.base.loss(params, tokens) + self.cost * 2.0**-bits


def test_a_nested_law_with_an_axis(planted):
    truth = Bits(base=Chinchilla(E=1.7, A=400.0, alpha=0.33, B=500.0, beta=0.3), cost=3.0)
    plain = planted()
    bits = np.tile([4.0, 8.0, 16.0], 12)
    with jax.enable_x64(True):
        loss = np.asarray(truth(plain.params, plain.tokens, bits=bits))
    runs = plain.with_columns(loss=loss, bits=bits)
    fitted = fit(runs, Bits)
    for path, value in laws.coefficients(truth).items():
        assert laws.coefficients(fitted.law)[path] == pytest.approx(value, rel=1e-5)
    assert set(fitted.intervals) == {
        "base.E",
        "base.A",
        "base.alpha",
        "base.B",
        "base.beta",
        "cost",
    }
    assert fitted.valid.axes == {"bits": (4.0, 16.0)}
    with pytest.raises(ValueError, match="Bits reads 'bits', of which the runs have no column"):
        fit(plain, Bits)
    with pytest.raises(ValueError, match="Bits reads bits, which is text"):
        fit(plain.with_columns(bits=["four"] * 36), Bits)
    # Twelve runs of one size and one dataset still differ in bits.
    one = runs.where(np.zeros(12, int)).with_columns(bits=np.linspace(2.0, 16.0, 12))
    with pytest.raises(ValueError, match="all 12 runs have loss"):
        fit(one, Bits)
    (row,) = holdout(runs, [Bits], limits={"max_bits": 8})
    assert row.error < 1e-6


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
def test_repeated_data_by_name_with_resampled_groups(tmp_path):
    runs = read_runs(DATA / "axes" / "datablations_c4.csv").select(
        max_loss=4.5, max_epochs=4, min_tokens=1e9
    )
    labels = [f"{n:.2g}" for n in runs["unique_tokens"]]
    runs = runs.with_columns(group=labels)
    fitted = fit(runs, Repeated, bootstrap=40, resample="runs")
    assert fitted.status == Status.CONVERGED
    assert fitted.starts_converged > 0.5
    assert np.abs(fitted.residuals).mean() < 0.02
    assert {"base.E", "R_D", "R_N"} < set(fitted.intervals)
    assert np.isfinite(list(laws.coefficients(fitted.laws).values())).all()
    laws.save(fitted.sourced, tmp_path / "law.json")
    again = laws.load_sourced(tmp_path / "law.json")
    assert again.law.R_D == fitted.law.R_D
    assert again.valid.axes["unique_tokens"] == fitted.valid.axes["unique_tokens"]
    with pytest.raises(ValueError, match="Mixture does not say how many"):
        fit(runs, laws.Mixture)


class Bounded(Law):
    """A floor as a fraction of what is known to be the most."""

    share: Fraction
    alpha: Exponent

    def loss(self, params, tokens):
        return 2.5 * self.share + (params / 1e8) ** -self.alpha


def test_intervals_of_a_fraction_stay_within_it(planted):
    runs = planted(Bounded(share=0.99, alpha=0.3), noise=0.1)
    fitted = fit(runs, Bounded)
    for low, high in (fitted.intervals["share"], profile(fitted, points=4)["share"].interval):
        assert 0.5 < low < high <= 1.0


class Broken(Law):
    """A law with a mistake in it."""

    E: Floor
    alpha: Exponent

    def loss(self, params, tokens):
        raise ValueError("a mistake in a law")


def test_holdout_passes_over_refusals_only(planted):
    with pytest.raises(ValueError, match="a mistake in a law"):
        holdout(planted(noise=0.01), [Chinchilla, Broken], limits={"max_params": 1e9})


def test_a_sample_of_many_runs_is_of_those_that_count(planted):
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(5e7), np.log(5e9), 3_000))
    tokens = params * np.exp(rng.uniform(np.log(5), np.log(500), 3_000))
    weight = np.zeros(3_000)
    weight[::150] = 1.0
    runs = planted(noise=0.01, params=params, tokens=tokens)
    fitted = fit(runs.with_columns(weight=weight))
    assert fitted.n_runs == 20
    assert fitted.objective == pytest.approx(fit(runs.where(weight > 0)).objective, rel=1e-6)


def test_a_row_that_pads_is_a_row(planted):
    """Weight zero times a law at zero bits or tokens would be no number."""

    class Inverse(Law):
        level: Positive
        size: Positive
        alpha: Exponent

        def loss(self, params, tokens, *, unique):
            return self.level / jnp.log2(unique) + self.size / params**self.alpha

    plain = planted()
    unique = np.tile([2.0, 4.0, 16.0], 12)
    loss = 3 / np.log2(unique) + 400 / plain.params**0.3
    fitted = fit(plain.with_columns(loss=loss, unique=unique), Inverse)
    assert fitted.law.level == pytest.approx(3.0, rel=1e-6)


def test_runs_can_be_columns_of_anything(planted):
    runs = planted(noise=0.01)
    assert isinstance(fit(dict(runs.columns)).runs, Runs)
