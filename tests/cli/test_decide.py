"""`scaling-jax decide` as a person or a script meets it."""

import json

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.cli import main
from tests.conftest import DATA, needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64


@pytest.fixture
def run(capsys):
    """Run `decide`; return its exit code, output and error text."""

    def call(options: str) -> tuple[int, str, str]:
        try:
            code = main(["decide", *options.split()])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def law_file(tmp_path):
    """A law with 40 resampled ones, one of which never reaches a loss of 2.2."""
    random = np.random.default_rng(0)
    middle = laws.HOFFMANN_2022
    floors = np.append(1.69 + 0.02 * random.normal(size=39), 2.3)
    stack = {name: np.full(40, value) for name, value in vars(middle).items()}
    path = tmp_path / "law.json"
    laws.save(
        laws.Sourced(law=middle, resampled=laws.Chinchilla(**(stack | {"E": floors}))), path
    )
    return path


def test_the_answer_under_the_vocabulary(run, law_file):
    options = f"--law {law_file} --demand 2e12 --demand-factor 5 --loss 2.2 --samples 40 --json"
    code, out, err = run(options)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["samples"], answer["feasible"], answer["laws"]) == (40, 39, 40)
    assert (answer["unit"], answer["risk"]) == ("flops", "mean")
    assert list(answer["optimal"]) == ["params", "tokens", "total_flops"]
    for each in answer["optimal"].values():
        assert each["interval"][0] < each["median"] < each["interval"][1]
    for kind in ("adaptive", "fixed"):
        model = answer[kind]
        assert model["expected"] - model["regret"] == approx(answer["expected_optimum"], 1e-12)
        assert model["regret"] > 0
        assert set(model["value_of"]) == {"law", "demand"}
    assert answer["adaptive"]["reaches"] == 39 / 40
    assert json.loads(run(options)[1]) == answer  # the seed fixes everything


def test_one_law_and_one_demand_is_what_plan_prints(run, capsys):
    code, out, _ = run("--demand 2e12 --loss 1.947 --dollars --risk regret --json")
    assert code == 0
    answer = json.loads(out)
    assert main("plan --loss 1.947 --inference-tokens 2e12 --dollars --json".split()) == 0
    plan = json.loads(capsys.readouterr().out)
    for kind in ("adaptive", "fixed"):
        assert answer[kind]["params"] == approx(plan["params"], rel=1e-12)
        assert answer[kind]["tokens"] == approx(plan["tokens"], rel=1e-12)
        assert answer[kind]["expected"] == approx(plan["total_dollars"], rel=1e-12)


def test_the_summary_comes_first_and_is_readable(run, law_file):
    code, out, _ = run(
        f"--law {law_file} --demand 2e12 --demand-factor 5 --loss 2.2 --samples 40 --risk cvar"
    )
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("Train ")
    assert "Having to choose now costs" in lines[1]
    assert lines[2].startswith("Most worth finding out is the demand")
    assert "tokens of demand" in lines[3]
    assert "Only 39 of the 40 samples have a plan" in out
    assert "of least mean over the worst 0.1 of the samples" in " ".join(out.split())


def test_a_model_is_matched_under_each_law(run, law_file):
    options = f"--law {law_file} --demand 2e12 --demand-factor 5 --samples 40"
    code, out, err = run(f"{options} --match-params 7e9")
    assert (code, err) == (0, "")
    assert "to be as good as a 7 B model under each law" in " ".join(out.split())
    assert "have a plan at all" not in out  # the law that never reaches 2.2 has one of its own


def test_requests_are_a_demand_too(run):
    by_tokens = json.loads(run("--demand 2.85e11 --loss 2.1 --json")[1])
    by_requests = json.loads(run("--requests 1e9 --loss 2.1 --json")[1])
    assert by_requests["adaptive"]["params"] == approx(by_tokens["adaptive"]["params"], 1e-12)


def test_a_limit_on_the_tokens_is_kept(run):
    answer = json.loads(run("--demand 2e12 --loss 2.1 --max-tokens 3e11 --json")[1])
    for kind in ("adaptive", "fixed"):
        assert answer[kind]["tokens"] <= 3e11 * (1 + 1e-9)


def test_a_budget_is_decided_in_nats(run):
    code, out, _ = run("--demand 2e12 --budget 5e23 --json")
    answer = json.loads(out)
    assert code == 0
    assert answer["unit"] == "nats"
    assert list(answer["optimal"]) == ["params", "tokens", "loss"]


def test_from_runs_to_a_decision_in_one_command(run):
    path = DATA / "sardana2024_runs.csv"
    if not path.exists():
        pytest.skip("the shared data are not here")
    options = f"--runs {path} --bootstrap 60 --samples 60 --demand 1e12 --demand-factor 5"
    code, out, err = run(f"{options} --match-params 2.5e9 --json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["laws"], answer["samples"]) == (60, 60)
    assert answer["match_params"] == 2.5e9
    assert answer["loss"] == approx(2.7711, rel=1e-4)
    low, high = answer["optimal"]["params"]["interval"]
    assert low < answer["adaptive"]["params"] < high
    assert answer["advice"].startswith("Most worth finding out is the ")
    assert any("One run decides beta" in each for each in answer["warnings"])


@pytest.mark.parametrize(
    ("options", "expected", "message"),
    [
        ("--loss 2", 2, "decide needs the demand: give --inference-tokens or --requests"),
        ("--demand 1e12", 2, "give loss or budget"),
        ("--demand -1 --loss 2", 2, "--inference-tokens is -1"),
        ("--demand 1e12 --loss 2 --demand-factor 0.5", 2, "factor is 0.5"),
        ("--demand 1e12 --loss 2 --risk median", 2, "--risk"),
        ("--demand 1e12 --loss 2 --risk cvar --level 2", 2, "level is 2"),
        ("--demand 1e12 --loss 2 --law nowhere.json", 2, "no law or file"),
        ("--demand 1e12 --loss 2 --match-params 1e9", 2, "--match-params is a target"),
        ("--demand 1e12 --loss 2 --law kaplan2020 --runs runs.csv", 2, "are two laws"),
        ("--demand 1e12 --loss 1.6", 1, "above the law's floor 1.69"),
        ("--demand 1e12 --demand-factor 2 --samples 9 --loss 1.6", 1, "none of the 9 samples"),
    ],
)
def test_what_cannot_be_decided_is_one_sentence(run, options, expected, message):
    code, out, err = run(options)
    assert (code, out) == (expected, "")
    assert message in err
    assert "Traceback" not in err
