"""`scaling-jax figures`: every file, and what is in it."""

import csv

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.cli import main
from tests.conftest import DATA, needs_x64
from tests.support import approx

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytest.importorskip("matplotlib", reason="the plot extra is not installed")
pytestmark = needs_x64

SARDANA = DATA / "sardana2024_runs.csv"
OBJECTIVES = (2.1920619e-4, 3.0667013e-4, 3.9180191e-4, 6.1998434e-4)  # shared/data/README.md


def table(path):
    """Return the columns of a CSV file; an empty cell is NaN."""
    with path.open(encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    values = [[float(cell) if cell else np.nan for cell in row] for row in rows]
    return dict(zip(names, np.array(values).T, strict=True))


@pytest.mark.skipif(not SARDANA.exists(), reason="the shared data are not here")
def test_the_papers_runs_give_every_figure(capsys, tmp_path):
    assert main(["figures", "--runs", str(SARDANA), "--out", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    tables = {path.stem: table(path) for path in (tmp_path / "new").glob("*.csv")}
    for number in range(1, 8):
        picture = (tmp_path / "new" / f"figure{number}.png").read_bytes()
        assert picture[1:4] == b"PNG"
        assert "</svg>" in (tmp_path / "new" / f"figure{number}.svg").read_text()
    names = "figure1a figure1b figure1c figure2 figure3 figure4 figure5 figure6 figure7 table1"
    assert set(tables) == set(names.split())
    assert tables["table1"]["objective"] == pytest.approx(OBJECTIVES, rel=1e-5)
    assert tables["table1"]["n_runs"].tolist() == [34, 39, 43, 47]
    assert len(tables["figure7"]["loss"]) == 47
    assert np.isfinite(tables["figure5"]["loss"]).sum() == 47
    check_figure_6(tables["figure6"])


def check_figure_6(columns):
    """Compare rows of the map with plans at the prices that the paper states."""
    cost = sj.Dollars(
        train=sj.TrainFleet.of("A100-80GB", "bf16", dollars_per_hour=1.5, mfu=0.5),
        serve=sj.ServeFleet.of("A100-40GB", "int8", dollars_per_hour=1.1, decode_mfu=0.01),
    )
    assert len(columns["loss"]) == 241 * 401
    for row in np.linspace(0, len(columns["loss"]) - 1, 5).astype(int):
        demand = sj.Demand.of_tokens(columns["inference_tokens"][row])
        plan = sj.plan(sj.laws.HOFFMANN_2022, cost, demand, loss=columns["loss"][row])
        for name in ("cost_ratio", "params_ratio", "tokens_ratio"):
            assert columns[name][row] == approx(getattr(plan, name), rel=1e-7)


def test_what_is_left_out_is_said(capsys, monkeypatch, tmp_path):
    from scaling_jax.plotting import paper

    monkeypatch.setattr(paper, "figures", lambda *_: iter(()))
    assert main(["figures", "--out", str(tmp_path)]) == 0
    assert "Figures 3, 4, 5 and 7 are left out" in capsys.readouterr().out
    runs = tmp_path / "runs.csv"
    runs.write_text("params,tokens,loss,eval_gauntlet/core_average\n1e9,2e10,2.5,0.1\n")
    assert main(["figures", "--runs", str(runs), "--out", str(tmp_path)]) == 0
    assert "Figure 7 is left out" in capsys.readouterr().out


def test_bad_usage_is_one_sentence(capsys, tmp_path):
    assert main(["figures", "--runs", "nowhere.csv", "--out", str(tmp_path)]) == 2
    assert "no file of runs is called 'nowhere.csv'" in capsys.readouterr().err
