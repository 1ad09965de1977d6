"""The command as a person or a script meets it."""

import json
import subprocess
import sys
import time

import pytest

from scaling_jax import laws
from scaling_jax.cli import main
from tests.conftest import needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64

PLAN = ["plan", "--loss", "1.947", "--inference-tokens", "2e12"]


@pytest.fixture
def run(capsys):
    """Run a command; return its exit code, output and error text."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def answer(run, *arguments: str) -> dict:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_plan_in_flops(run):
    plan = answer(run, *PLAN)
    assert list(plan)[:7] == (
        "params tokens tokens_per_param loss train_flops serve_flops total_flops".split()
    )
    assert plan["params"] == approx(2.418356e10)
    assert plan["tokens"] == approx(2.657051e12)
    assert plan["baseline"]["params"] == approx(34.08e9, rel=1e-4)
    assert plan["cost_ratio"] == approx(0.9522, rel=1e-4)
    assert plan["marginal_cost"] < 0
    assert (plan["status"], plan["limit"]) == ("converged", "none")


def test_plan_in_dollars(run):
    plan = answer(run, "plan", "--match-params", "30e9", "--requests", "1.5e9", "--dollars")
    assert plan["total_dollars"] == approx(1_378_537, rel=1e-6)
    assert plan["baseline"]["total_dollars"] == approx(1_701_715, rel=1e-6)
    assert plan["train_flops"] == approx(6 * plan["params"] * plan["tokens"], rel=1e-12)


def test_plan_with_every_price(run):
    options = (
        "--requests 1e10 --input-tokens 1000 --output-tokens 250 --dollars "
        "--train-chip A100-80GB --train-dtype bf16 --train-price 1.40 --train-mfu 0.5 "
        "--serve-chip A100-40GB --serve-dtype int8 --serve-price 0.60 "
        "--prefill-mfu 0.4 --decode-mfu 0.2"
    )
    plan = answer(run, "plan", "--loss", "1.947", *options.split())
    assert plan["total_dollars"] == approx(1_425_059.70, rel=1e-8)


def test_match_tokens_is_the_quality_of_that_very_model(run):
    plan = answer(
        run, "plan", "--match-params", "70e9", "--match-tokens", "1e12", "--requests", "1e9"
    )
    assert plan["loss"] == approx(1.9472727897172717, rel=1e-12)


def test_budget_limits_and_elasticities(run):
    plan = answer(
        run,
        *"plan --budget 4.8e23 --inference-tokens 2e12 --max-params 1e10".split(),
        "--elasticities",
    )
    assert plan["limit"] == "max_params"
    assert plan["total_flops"] == approx(4.8e23, rel=1e-12)
    assert plan["elasticities"]["tokens"]["budget"] > 1


def test_a_law_from_a_file(run, tmp_path):
    laws.save(laws.PUBLISHED["besiroglu2024"], tmp_path / "law.json")
    by_file = answer(run, *PLAN, "--law", str(tmp_path / "law.json"))
    assert by_file == answer(run, *PLAN, "--law", "besiroglu2024")


def test_tables_are_readable(run):
    code, out, _ = run(*PLAN, "--elasticities")
    assert code == 0
    assert "24.18 B" in out
    assert "Saves 4.78%" in out
    assert "demand.output_tokens" in out


def test_plot(run, tmp_path):
    pytest.importorskip("matplotlib")
    code, *_ = run(*PLAN, "--plot", str(tmp_path / "plan.png"))
    assert code == 0
    assert (tmp_path / "plan.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--params 70e9 --tokens 1e12", {"train_flops": 4.2e23, "loss": 1.9472727897172717}),
        ("--params 70e9 --train-flops 4.2e23", {"tokens": 1e12}),
        ("--tokens 1e12 --train-flops 4.2e23", {"params": 70e9}),
        ("--chinchilla --params 70e9", {"tokens": 4.2547e12, "loss": 1.8917925}),
        ("--chinchilla --train-flops 1e24", {"params": 5.368e10, "loss": 1.9106149}),
        ("--chinchilla --tokens 1e10", {"tokens": 1e10}),
        ("--chinchilla --loss 1.9582534", {"params": 30e9}),
        (
            "--params 70e9 --tokens 1e13 --dollars --train-chip H100-SXM",
            {"train_dollars": 4.719e6},
        ),
        (
            "--params 7e9 --tokens 1e12 --requests 1e9 --dollars",
            {"serve_flops": 2 * 7e9 * 285e9, "total_flops": 4.599e22},
        ),
    ],
)
def test_model(run, options, expected):
    model = answer(run, "model", *options.split())
    for name, value in expected.items():
        assert model[name] == approx(value, rel=1e-4), name


def test_catalogues(run):
    assert answer(run, "laws")["hoffmann2022"]["coefficients"]["alpha"] == 0.336
    assert answer(run, "chips")["A100-80GB"]["peaks"]["bf16"] == 3.12e14
    for command in ("laws", "chips"):
        code, out, _ = run(command)
        assert code == 0
        assert "arXiv 2401.00448" in out.replace("\n", " ")


BAD_USAGE = [
    ("plan", "plan needs the demand"),
    ("plan --inference-tokens 1e12", "give loss or budget"),
    ("plan --loss 2 --budget 1e22 --inference-tokens 1e12", "loss and budget are both given"),
    ("plan --loss nan --inference-tokens 1e12", "loss is nan"),
    ("plan --loss 2 --inference-tokens -1", "--inference-tokens is -1"),
    ("plan --loss 2 --inference-tokens 1 --requests 1", "two ways to give the demand"),
    ("plan --loss 2 --output-tokens 100", "--output-tokens is per request"),
    ("plan --loss 2 --match-params 1e9 --requests 1", "--match-params is a target"),
    ("plan --match-tokens 1e9 --requests 1", "--match-tokens needs --match-params"),
    ("plan --match-params -3 --requests 1", "must be positive"),
    ("plan --loss 2 --requests 1 --law hofmann", "nearest published law is hoffmann2022"),
    ("plan --loss 2 --requests 1 --dollars --train-mfu 1.3", "cost.train.mfu is 1.3"),
    ("plan --loss 2 --requests 1 --dollars --serve-chip H100-SX", "nearest is H100-SXM"),
    ("plan --loss 2 --requests 1 --dollars --train-dtype fp8", "it has bf16, int8"),
    ("plan --loss 2 --requests 1 --dollars --serve-chip L4", "no price for L4"),
    ("plan --loss 2 --requests 1 --plot /nowhere/plan.png", "/nowhere/plan.png"),
    ("plan --loss 2 --requests 1 --plot plan.xyz", "xyz"),
    ("model --params 3e9", "any two of"),
    ("model --params 3e9 --loss 2", "any two of"),
    ("model --params -3e9 --tokens 1", "--params is -3e+09"),
    ("model --chinchilla --params 3e9 --tokens 1", "exactly one of"),
    ("plan --loss two --requests 1", "--loss"),
    ("plan --lss 2", "--loss"),
]


@pytest.mark.parametrize(("command", "message"), BAD_USAGE, ids=[c for c, _ in BAD_USAGE])
def test_bad_usage_is_exit_code_2_and_one_sentence_on_standard_error(run, command, message):
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("plan --loss 1.6 --requests 1", "above the law's floor 1.69"),
        ("plan --loss 1.8 --requests 1 --max-params 1e9", "lowest loss is 2.07"),
        ("model --chinchilla --loss 1.6", "cannot be reached"),
    ],
)
def test_no_such_plan_is_exit_code_1(run, command, message):
    code, out, err = run(*command.split())
    assert (code, out) == (1, "")
    assert message in err


def fastest(*arguments: str) -> float:
    """Return the least wall time of three fresh processes."""
    command = [sys.executable, "-m", "scaling_jax.cli", *arguments]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from scaling_jax.cli import main\n"
        "try: main(['plan', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'jax', 'numpy', 'optax', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_help_is_many_times_faster_than_a_plan():
    # A ratio, for the machines are noisy; benchmarks/startup.py prints the seconds.
    assert fastest("plan", "--help") < 0.5 * fastest(*PLAN)


def test_a_plan_ends_in_a_shape_that_can_be_trained(capsys):
    command = ["plan", "--inference-tokens", "2e12", "--json"]
    assert main([*command, "--loss", "1.947"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["shape"]["params"] == pytest.approx(answer["params"], rel=0.01)
    assert main([*command, "--loss", "6"]) == 0  # too small for the paper's vocabulary
    assert "shape" not in json.loads(capsys.readouterr().out)
