"""`scaling-jax fit`, from a file of runs to a plan with intervals."""

import json

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.cli import main
from scaling_jax.runs import Runs
from tests.conftest import DATA, needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64

SARDANA = DATA / "sardana2024_runs.csv"
needs_data = pytest.mark.skipif(not SARDANA.exists(), reason="the shared data are not here")


@pytest.fixture
def runs(tmp_path):
    """A file of 24 runs of Hoffmann's law with 0.1 % of noise."""
    params = np.repeat(np.geomspace(1e7, 1e10, 4), 6)
    tokens = params * np.tile([5.0, 20.0, 50.0, 100.0, 300.0, 1000.0], 4)
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal(24)
    loss = np.asarray(laws.HOFFMANN_2022(params, tokens)) * noise
    path = tmp_path / "runs.csv"
    Runs(params=params, tokens=tokens, loss=loss).write(path)
    return path


def answer(capsys, *arguments: str) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_keys_intervals_holdout_and_the_way_to_a_plan(capsys, runs, tmp_path):
    law = tmp_path / "law.json"
    options = ["--bootstrap", "50", "--holdout", "tokens_per_param>100", "--out", law]
    fitted = answer(capsys, "fit", runs, *options)
    assert set("E A alpha B beta objective n_runs status warnings".split()) <= set(fitted)
    assert (fitted["n_runs"], fitted["status"]) == (24, "converged")
    assert fitted["alpha"] == approx(0.336, rel=0.1)
    low, high = fitted["intervals"]["E"]
    assert low < fitted["E"] < high
    assert fitted["holdout"]["n_runs"] == 8
    assert fitted["holdout"]["families"]["chinchilla"]["error"] < 0.01

    plan = answer(capsys, "plan", "--law", law, "--loss", "2.2", "--inference-tokens", "1e12")
    assert plan["intervals"]["laws"] == 50
    low, high = plan["intervals"]["params"]
    assert low < plan["params"] < high
    assert main(["plan", "--law", str(law), "--loss", "2.2", "--requests", "1e9"]) == 0
    assert "resampled laws have such a plan" in capsys.readouterr().out


def test_selection_and_other_families(capsys, runs):
    fitted = answer(
        capsys,
        "fit",
        runs,
        "--law",
        "tied",
        "--max-tokens-per-param",
        "100",
        "--min-params",
        "1e8",
    )
    assert fitted["n_runs"] == 12
    assert "beta" not in fitted


def test_holdout_has_the_family_that_was_asked_for(capsys, runs):
    command = ["fit", runs, "--law", "kaplan", "--holdout", "tokens_per_param>100"]
    assert "kaplan" in answer(capsys, *command)["holdout"]["families"]


def test_profiles_take_the_place_of_the_curvature(capsys, runs):
    few = ["fit", runs, "--max-tokens-per-param", "100"]
    assert any("from the curvature" in text for text in answer(capsys, *few)["warnings"])
    profiled = answer(capsys, *few, "--profile")
    assert not any("from the curvature" in text for text in profiled["warnings"])


def test_profile_plot_and_table(capsys, runs, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "fit.png"
    assert main(["fit", str(runs), "--profile", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "chinchilla law of 24 runs" in out
    assert "of the starts ended there" in out
    assert picture.read_bytes()[1:4] == b"PNG"


@needs_data
def test_the_published_runs_and_the_run_that_decides(capsys):
    fitted = answer(capsys, "fit", SARDANA)
    assert fitted["objective"] == approx(6.1998434e-4, rel=1e-6)
    assert any("10000" in w or "1e+04 tokens/param" in w for w in fitted["warnings"])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("params,tokens,loss\n1e9,2e10,2.5\n", [], "runs"),
        ("params,tokens,loss\n1e9,2e10,abc\n", [], "abc"),
        ("params,loss\n1e9,2.5\n", [], "tokens"),
        (None, [], "no file of runs is called"),
        ("runs", ["--law", "cubic"], "'cubic'; known are chinchilla"),
        ("runs", ["--holdout", "ratio>100"], "--holdout is 'ratio>100'"),
        ("runs", ["--holdout", "tokens_per_param>1e9"], "which none of the runs is"),
        ("runs", ["--holdout", "tokens_per_param>nan"], "--holdout is 'tokens_per_param>nan'"),
        ("runs", ["--seed", "-1"], "seed is -1; it must be a whole number"),
        ("runs", ["--max-params", "1"], "none of the 24 runs is within max_params 1"),
        ("runs", ["--bootstrap", "-1"], "bootstrap is -1"),
        ("runs", ["--delta", "-1"], "delta"),
    ],
)
def test_bad_usage(capsys, runs, tmp_path, content, options, message):
    path = tmp_path / "other.csv"
    if content == "runs":
        path = runs
    elif content is not None:
        path.write_text(content)
    assert main(["fit", str(path), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err
