"""`scaling-jax compare`, from a file of runs to a mixture that `plan` takes."""

import json

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.cli import main
from scaling_jax.runs import CPU47
from tests.conftest import needs_x64

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64

FEW = ("--families", "chinchilla,tied,coupled")


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.csv"
    CPU47.write(path)
    return path


def answer(capsys, *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_keys_and_the_way_to_a_plan(capsys, runs, tmp_path):
    mixture = tmp_path / "mixture.json"
    options = ["--bootstrap", "60", "--out", mixture, "--predict", runs]
    found = answer(capsys, "compare", runs, *FEW, "--toward", "train-flops", *options)
    assert set(found["families"]) == {"chinchilla", "tied", "coupled"}
    for row in found["families"].values():
        names = {"objective", "lack_of_fit", "holdout_error", "holdout_bias", "weight"}
        assert set(row) == names
    assert "chinchilla" in found["rejected"]
    assert sum(found["mixture"]["weights"].values()) == pytest.approx(1.0)
    assert found["warnings"] == list(dict.fromkeys(found["warnings"]))
    assert set(found["prediction"]) == {*found["families"], "mixture"}
    whole = found["prediction"]["mixture"]
    assert set(whole) == {"mean_error", "bias", "coverage"}
    # Its own runs are in intervals of 95 % about so often.
    assert whole["coverage"] > 0.85
    again = laws.load_sourced(mixture)
    assert {type(each).__name__.lower() for each in again.law.laws} == set(
        found["mixture"]["weights"]
    )
    shares = np.stack(again.resampled.weights)
    assert shares.shape[1] == 60
    assert (np.sort(shares, axis=0)[-1] == 1.0).all()
    planned = answer(
        capsys, "plan", "--law", mixture, "--loss", "1.6", "--inference-tokens", "1e10"
    )
    assert planned["loss"] == pytest.approx(1.6, rel=1e-6)
    assert planned["intervals"]["laws"] == 60


def test_a_plan_from_runs_by_the_mixture(capsys, runs, tmp_path, monkeypatch):
    monkeypatch.setattr("scaling_jax.comparing.comparer.FAMILIES", (laws.Tied, laws.Coupled))
    options = ["--runs", str(runs), "--law", "mixture", "--bootstrap", "40"]
    asked = ["--loss", "1.6", "--inference-tokens", "1e10"]
    direct = tmp_path / "mixture.json"
    assert main(["compare", str(runs), "--bootstrap", "40", "--out", str(direct)]) == 0
    capsys.readouterr()
    planned = answer(capsys, "plan", *options, *asked)
    assert planned == answer(capsys, "plan", "--law", direct, *asked)
    assert planned["intervals"]["laws"] == 40


def test_words_and_a_picture(capsys, runs, tmp_path):
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    picture = tmp_path / "families.png"
    assert main(["compare", str(runs), *FEW, "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "leads with" in out
    assert "The runs reject" in out
    assert picture.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--toward", "sideways"], "toward is 'sideways'; it must be tokens_per_param"),
        (["--toward", "7e9,"], "a point is PARAMS,TOKENS, such as 7e9,2e12"),
        (["--toward", "7e9,-1"], "a point is (params, tokens), both positive and finite"),
        (["--families", "chinchila"], "no family of laws is called 'chinchila'"),
        (["--families", "logquadratic"], "logquadratic is a yardstick"),
        (["--bootstrap", "-1"], "bootstrap is -1; it must be a whole number of 0 or more"),
        (["--max-params", "1"], "none of the 47 runs is within max_params 1"),
    ],
)
def test_one_sentence(capsys, runs, arguments, words):
    assert main(["compare", str(runs), *arguments]) == 2
    assert words in capsys.readouterr().err
