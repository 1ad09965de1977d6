"""`train` and `sweep` at the command line."""

import asyncio
import json
import os

import numpy as np
import pytest

from scaling_jax.cli import main
from scaling_jax.cli.training import CorpusOptions, ProcessOptions

SOURCE = os.path.dirname(asyncio.__file__)
SHAPE = ["--d-model", "16", "--layers", "1", "--heads", "4", "--length", "64", "--batch", "4"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    from scaling_jax.training import prepare

    return str(prepare(SOURCE, tmp_path_factory.mktemp("cli") / "ids", heldout=0.1).folder)


def test_train_prints_its_record(prepared, tmp_path, capsys):
    out = str(tmp_path / "run")
    command = ["train", *SHAPE, "--corpus", prepared, "--out", out, "--json"]
    assert main([*command, "--tokens-per-param", "3"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["status"] == "finished"
    assert record["params"] == 6832
    assert record["tokens_per_param"] == pytest.approx(3, abs=0.05)
    assert main([*command, "--tokens-per-param", "4"]) == 2
    assert "holds another run: tokens is 27328, was 20496" in capsys.readouterr().err
    diverged = record | {"status": "diverged", "steps": 7, "last_checkpoint": 4}
    (tmp_path / "run" / "record.json").write_text(json.dumps(diverged))
    with pytest.raises(SystemExit, match="1"):
        main([*command, "--tokens-per-param", "3"])
    words = "not finite at step 7 of 80 (last good checkpoint 4)"
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tokens", "1e4"], "give either --params or --d-model"),
        (["--d-model", "16", "--tokens", "1e4"], "go together; give all three"),
        ([*SHAPE], "give one of --tokens and --tokens-per-param"),
        ([*SHAPE, "--tokens", "1e9"], "needs 1,000,000,000 tokens and the corpus offers"),
        (["--params", "100", "--tokens", "1e4"], "take a smaller vocabulary or a smaller"),
        ([*SHAPE, "--tokens", "inf"], "--tokens is inf; it must be positive and finite"),
        ([*SHAPE, "--tokens-per-param", "nan"], "--tokens-per-param is nan; it must be"),
        ([*SHAPE, "--tokens", "1e4", "--seed", "5000000000"], "seed is 5000000000; it must"),
        (
            [
                *SHAPE,
                "--tokens",
                "1e4",
                "--heads",
                "8",
                "--positions",
                "rotary",
                "--d-model",
                "24",
            ],
            "d_model is 24 and heads 8, 3 numbers per head",
        ),
        ([*SHAPE, "--tokens", "1e4", "--heads", "9"], "--heads is 9, which a quarter"),
        ([*SHAPE, "--tokens", "1e4", "--process", "1"], "--process need --coordinator"),
        ([*SHAPE, "--tokens", "1e4", "--coordinator", "foo"], "'foo'; it must be HOST:PORT"),
        ([*SHAPE, "--tokens", "1e4", "--coordinator", "a:1", "--process", "1"], "in [0, 1)"),
        ([*SHAPE, "--tokens", "1e4", "--tokenizer", "bpe:512"], "with tokenizer 'bytes', not"),
    ],
)
def test_a_run_that_cannot_be_is_refused_in_a_sentence(
    prepared, tmp_path, capsys, options, words
):
    assert main(["train", "--corpus", prepared, "--out", str(tmp_path), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_of_text_may_hold_a_manifest_of_its_own(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "manifest.json").write_text('{"name": "an app"}')
    options = CorpusOptions(corpus=str(tmp_path / "text"), heldout=0.0)
    assert options.open(tmp_path).manifest["documents"] == 1


def test_ctrl_c_is_a_sentence(prepared, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt("stopped after step 1")

    monkeypatch.setattr("scaling_jax.training.train", interrupt)
    command = ["train", *SHAPE, "--corpus", prepared, "--out", str(tmp_path / "run")]
    assert main([*command, "--tokens", "1e4"]) == 130
    assert capsys.readouterr().err == "scaling-jax: stopped after step 1\n"


def test_a_token_file_is_a_corpus_with_its_dtype(tmp_path, capsys):
    ids, out = str(tmp_path / "ids.bin"), str(tmp_path / "run")
    (np.arange(2**16) % 300).astype(np.uint16).tofile(ids)
    command = ["train", *SHAPE, "--corpus", ids, "--out", out, "--tokens", "inf"]
    assert main(command) == 2
    assert "such as 'uint16'" in capsys.readouterr().err
    assert main([*command, "--corpus-dtype", "uint16", "--heldout", "0"]) == 2
    assert "--tokens is inf" in capsys.readouterr().err  # the corpus is there


def test_processes_that_no_cluster_tells_of_are_asked_for(monkeypatch):
    def initialize():
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr("jax.distributed.initialize", initialize)
    with pytest.raises(ValueError, match=r"finds no cluster here .*; give --coordinator"):
        ProcessOptions(distributed=True).start()


def test_no_corpus(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert main(["train", *SHAPE, "--tokens", "1e4", "--corpus", "no", "--out", out]) == 2
    assert "no corpus is at 'no'" in capsys.readouterr().err


def test_sweep_says_what_it_would_take(tmp_path, capsys):
    assert main(["sweep", "sardana47", "--out", str(tmp_path), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["runs"] == len(told["runs"]) == 47
    assert told["runs"]["6B-20"]["params"] == 6_048_452_608
    assert sum(run["dollars"] for run in told["runs"].values()) == pytest.approx(
        told["total"]["dollars"]
    )


def test_sweep_says_what_a_shard_would_take(tmp_path, capsys):
    command = ["sweep", "sardana47", "--dry-run", "--shard", "1/8", "--json"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["runs"] == 6


def test_sweep_status_of_nothing(tmp_path, capsys):
    assert main(["sweep", "cpu47", "--out", str(tmp_path), "--status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["waiting"] == 47
    assert told["finished"] == told["begun"] == told["diverged"] == 0


def test_sweep_status_of_a_folder(tmp_path, capsys):
    (tmp_path / "sweep.json").write_text('{"recipe": "cpu47"}')
    assert main(["sweep", "--status", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["waiting"] == 47
    assert main(["sweep", "smoke", "--status", "--out", str(tmp_path)]) == 2
    assert "holds the sweep cpu47; give another folder for smoke" in capsys.readouterr().err
    assert main(["sweep", "--status", "cpu47"]) == 2
    assert "cpu47 is not the folder of a sweep: it has no sweep.json" in capsys.readouterr().err


def test_sweep_without_a_folder(capsys):
    assert main(["sweep", "cpu47", "--dry-run"]) == 0
    assert "cpu47: 47 runs" in capsys.readouterr().out
    assert main(["sweep", "cpu47"]) == 2
    assert "--out is missing; give the sweep's folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["all47"], "must be one of sardana47, cpu47, smoke"),
        (["smoke", "--shard", "2/2"], "--shard is '2/2'; it must be i/n"),
        (
            ["sardana47", "--dry-run", "--chip", "H1"],
            "no chip is called 'H1'; the nearest is H100",
        ),
        (["sardana47", "--dry-run", "--mfu", "2"], "--mfu is 2.0; it must be in (0, 1]"),
        (["sardana47", "--dry-run", "--chips", "0"], "chips is 0; it must be a positive"),
        (["sardana47", "--dry-run", "--price", "-1"], "price is -1; it must be zero or more"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(tmp_path, capsys, options, words):
    assert main(["sweep", *options, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
