"""Fit below, predict above."""

import pytest

from scaling_jax.fitting import holdout
from scaling_jax.laws import Chinchilla, Coupled, Tied


def test_typical_ratios_overpredict_the_gain_from_more_data(sardana):
    """Errors on extreme ratios, beside a table computed with another solver."""
    table = {row.family: row for row in holdout(sardana, limits={"max_tokens_per_param": 100})}
    assert table["Chinchilla"].bias == pytest.approx(-0.0576, abs=2e-4)
    assert table["Tied"].bias == pytest.approx(-0.0570, abs=2e-4)
    assert table["Coupled"].error == pytest.approx(0.0116, abs=2e-4)
    assert [row.family for row in table.values()] == ["Coupled", "Tied", "Chinchilla"]
    chinchilla = table["Chinchilla"]
    assert len(chinchilla.runs) == chinchilla.errors.size == 13
    differences = chinchilla.errors * chinchilla.runs.loss
    smallest = chinchilla.runs.params < 2e8
    ratios = chinchilla.runs.tokens_per_param[smallest].round()
    signed = dict(zip(ratios, differences[smallest].round(3), strict=True))
    assert signed == {250: -0.117, 500: -0.214, 1000: -0.294, 5000: -0.451, 10000: -0.460}


def test_large_models_from_small_ones(sardana):
    best, *_ = holdout(sardana, [Chinchilla, Tied], limits={"max_params": 2e9})
    assert best.family == "Tied"
    assert best.error == pytest.approx(0.0220, abs=2e-4)
    assert best.fitted.n_runs == 39


def test_a_family_of_too_many_coefficients_is_left_out(planted):
    runs = planted(noise=0.003)
    few = runs.where([0, 6, 13, 20, 27, 35])
    table = holdout(few.columns, [Chinchilla, Coupled], limits={"max_tokens_per_param": 400})
    assert [row.family for row in table] == ["Chinchilla"]


def test_refusals(planted):
    with pytest.raises(ValueError, match="holdout needs a limit"):
        holdout(planted(), limits={})
    with pytest.raises(ValueError, match="no run is outside of max_params 1"):
        holdout(planted(), limits={"max_params": 1e12})
    with pytest.raises(ValueError, match="cannot fix the 5 coefficients"):
        holdout(planted(), limits={"max_tokens": 3e8})
