"""`scaling-jax grid` as a person or a script meets it."""

import json

import numpy as np
import pytest

from scaling_jax.cli import main
from tests.conftest import needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytestmark = needs_x64

AXES = "--axis loss=1.8:3.0:7 --axis inference-tokens=1e9:1e14:11:log"


@pytest.fixture
def run(capsys):
    """Run `grid`; return its exit code, output and error text."""

    def call(options: str, *more: str) -> tuple[int, str, str]:
        try:
            code = main(["grid", *options.split(), *more])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def answer(run):
    def call(options: str, *more: str) -> dict:
        code, out, err = run(f"{options} --json", *more)
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def plan(capsys, options: str) -> dict:
    assert main(["plan", *options.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_table_holds_what_plan_prints(answer, capsys, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the grid extra is not installed")
    out = tmp_path / "grid.parquet"
    values = "--value cost_ratio --value params --value total_flops --value baseline.params"
    summary = answer(f"{AXES} {values} --out {out}")
    assert summary["points"] == 77
    assert summary["axes"]["loss"] == {"first": 1.8, "last": 3.0, "count": 7}
    table = {
        name: np.array(column) for name, column in parquet.read_table(out).to_pydict().items()
    }
    units = {
        field.name: (field.metadata or {}).get(b"units") for field in parquet.read_schema(out)
    }
    assert (units["loss"], units["total_flops"]) == (b"nats/token", b"FLOPs")
    assert (units["cost_ratio"], units["baseline.params"]) == (b"dimensionless", b"parameters")
    names = "loss inference_tokens cost_ratio params total_flops baseline.params"
    assert set(table) == set(names.split())
    assert summary["values"]["params"]["max"] == table["params"].max()
    row = np.flatnonzero((table["loss"] == 2.2) & (table["inference_tokens"] == 1e14))[0]
    alone = plan(capsys, "--loss 2.2 --inference-tokens 1e14")
    for name in ("cost_ratio", "params", "total_flops"):
        assert table[name][row] == approx(alone[name], rel=1e-12)
    assert table["baseline.params"][row] == approx(alone["baseline"]["params"], rel=1e-12)


def test_a_store_is_streamed_and_dollars_vary(answer, capsys, tmp_path):
    zarr = pytest.importorskip("zarr", reason="the grid extra is not installed")
    out = tmp_path / "grid.zarr"
    options = (
        "--loss 2.0 --requests 1e9 --dollars "
        "--axis train-price=1:4:4 --axis decode-mfu=.01:.1:3"
    )
    summary = answer(f"{options} --value total_dollars --out {out}")
    opened = zarr.open_array(out / "total_dollars", mode="r")
    assert opened.attrs["units"] == "dollars"
    stored = opened[...]
    assert stored.shape == (4, 3)
    assert summary["values"]["total_dollars"]["min"] == stored.min()
    alone = plan(
        capsys, "--loss 2.0 --requests 1e9 --dollars --train-price 3 --decode-mfu 0.055"
    )
    assert stored[2, 1] == approx(alone["total_dollars"], rel=1e-12)


def test_a_picture_of_the_grid(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    picture = tmp_path / "grid.svg"
    code, out, _ = run(f"{AXES} --value saving --value params --plot {picture}")
    assert code == 0
    assert "</svg>" in picture.read_text()
    three = "--axis loss=2:3:2 --axis requests=1e8:1e9:2 --axis max-params=1e12:2e12:2"
    code, out, err = run(f"{three} --value params --plot {picture}")
    assert (code, out) == (2, "")
    assert "loss (2) x requests (2) x max_params (2)" in err


def test_scenarios_without_a_plan_are_counted(run, answer):
    options = "--axis loss=1.5:2.0:11 --inference-tokens 1e12 --value params --value status"
    summary = answer(options)
    assert summary["values"]["params"]["missing"] == 4  # 1.50, 1.55, 1.60, 1.65; E is 1.69
    assert summary["values"]["status"] == {"min": 0.0, "max": 3.0, "missing": 0}
    code, out, _ = run(options)
    assert code == 0
    assert "11 plans: loss (11)" in out


BAD_USAGE = [
    ("--axis loss=1:2 --value params --requests 1", "'1:2' is no axis"),
    ("--axis depth=1:2:3 --value params --requests 1", "NAME of loss, budget"),
    (f"{AXES} --value prams", "--value is 'prams'"),
    (f"{AXES} --value total_dollars", "--value is 'total_dollars'"),
    (AXES, "needs at least one --value"),
    (f"{AXES} --value params --loss 2", "loss is given as an axis and as an option"),
    (f"{AXES} --value params --requests 2", "two ways to give the demand"),
    ("--axis loss=2:3:4 --value params", "grid needs the demand"),
    ("--axis requests=1:2:3 --value params", "give loss or budget"),
    (
        "--axis loss=2:3:4 --axis train-mfu=.1:1:3 --value params --requests 1",
        "needs --dollars",
    ),
    (f"{AXES} --value params --out grid.csv", "must end in .parquet or .zarr"),
    (f"{AXES} --value params --memory 1e-9", "the result takes"),
    ("--value params --requests 1 --loss 2", "at least one axis"),
]


@pytest.mark.parametrize(("options", "message"), BAD_USAGE, ids=[c for c, _ in BAD_USAGE])
def test_bad_usage_is_exit_code_2_and_one_sentence(run, options, message):
    code, out, err = run(options)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
