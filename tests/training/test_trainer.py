"""The loop: resumed bit for bit after a kill, stopped when it diverges, refused in words."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from scaling_jax.training import RECIPES, prepare, train, train_ensemble
from scaling_jax.training.checkpoints import Checkpoints, abstract, checksum
from scaling_jax.training.interrupts import held_back
from scaling_jax.training.locking import locked
from scaling_jax.training.mesh import make_mesh, state_shardings
from scaling_jax.training.metrics import read_metrics
from scaling_jax.training.processes import BusyError
from scaling_jax.training.run_record import RunRecord
from scaling_jax.training.step import initial_state
from tests.training.conftest import CONFIG, SHAPE

WORKER = """
import sys
from scaling_jax.training import Corpus, train
from tests.training.conftest import CONFIG

train(CONFIG, Corpus.open(sys.argv[1]), sys.argv[2], checkpoint_seconds=0.0)
"""


def untimed(folder):
    return [
        {name: value for name, value in line.items() if name != "seconds"}
        for line in read_metrics(folder / "metrics.jsonl")
    ]


def last_state(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    shapes = jax.eval_shape(lambda: initial_state(SHAPE, CONFIG.options, CONFIG.recipe, 0))
    state = checkpoints.latest(abstract(shapes, state_shardings(make_mesh(), shapes)))
    checkpoints.close()
    return state


def test_loss_falls_below_the_unigram_entropy(finished, corpus):
    record, folder = finished
    counts = np.bincount(corpus.heldout, minlength=256)
    share = counts[counts > 0] / counts.sum()
    entropy = -(share * np.log(share)).sum()
    losses = [line["loss"] for line in untimed(folder)]
    assert losses[0] > entropy
    assert record.loss < entropy - 0.3
    assert record.train_loss < entropy - 0.3


def test_a_killed_run_ends_with_the_same_bits(finished, corpus, tmp_path):
    record, folder = finished
    command = [sys.executable, "-c", WORKER, str(corpus.folder), str(tmp_path)]
    for kill_at in (1, 300):
        worker = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        while worker.poll() is None and len(untimed(tmp_path)) * 64 < kill_at:
            time.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        assert not (tmp_path / "record.json").exists()
    resumed = train(CONFIG, corpus, tmp_path)
    assert untimed(tmp_path) == untimed(folder)
    one, other = last_state(tmp_path), last_state(folder)
    for mine, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert (resumed.loss, resumed.train_loss) == (record.loss, record.train_loss)


def test_ctrl_c_saves_and_the_run_ends_with_the_same_bits(corpus, tmp_path):
    """It comes at the first line of metrics, in the second call; a call has 64 steps."""
    short = dataclasses.replace(CONFIG, tokens=CONFIG.step_tokens * 150)

    def interrupt(at):
        if at.step == 64:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="stopped after step 128 of 150, which is sav"):
        train(short, corpus, tmp_path / "run", progress=interrupt)
    assert [line["step"] for line in untimed(tmp_path / "run")] == [64, 128]
    seen = []
    resumed = train(short, corpus, tmp_path / "run", progress=seen.append)
    assert [at.step for at in seen] == [150]
    assert resumed.loss == train(short, corpus, tmp_path / "whole").loss
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait():
    with held_back() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_finished_run_is_returned_and_another_refused(finished, corpus):
    record, folder = finished
    again = train(CONFIG, corpus, folder, progress=pytest.fail)
    assert again == record == RunRecord.read(folder / "record.json")
    with pytest.raises(ValueError, match=r"another run: seed is 1, was 0; give another folder"):
        train(dataclasses.replace(CONFIG, seed=1), corpus, folder)


def test_the_record_says_what_was_trained(finished, corpus):
    record, _ = finished
    assert record.params == SHAPE.params
    assert record.tokens == record.steps * record.batch * record.length == CONFIG.tokens
    assert record.train_flops == 6 * record.params * record.tokens
    assert record.corpus == corpus.fingerprint
    assert 0 < record.mfu < 1
    assert 0 < record.epochs <= 1


@pytest.mark.parametrize("content", ['{"shape": ', "[]"])
def test_a_folder_whose_configuration_cannot_be_read_is_refused(corpus, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json is not the configuration of a run"):
        train(CONFIG, corpus, tmp_path)


@pytest.mark.parametrize("content", [b'{"status": ', b"[]", b"\xff"])
def test_a_torn_record_is_told_with_what_to_do(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"record\.json is not .* \(.*\); remove it, and the"):
        RunRecord.read(tmp_path / "record.json")


def test_a_record_of_an_older_or_newer_version_is_read(finished, tmp_path):
    record, folder = finished
    content = json.loads((folder / "record.json").read_text())
    del content["exact_train_flops"], content["devices"], content["last_checkpoint"]
    (tmp_path / "record.json").write_text(json.dumps(content | {"room": "north"}))
    read = RunRecord.read(tmp_path / "record.json")
    assert np.isnan(read.exact_train_flops)
    assert read.last_checkpoint is None
    assert (read.loss, read.params, read.recipe) == (record.loss, record.params, record.recipe)
    del content["loss"]
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"record\.json is not .* \(it has no loss\); remove"):
        RunRecord.read(tmp_path / "record.json")


def test_a_folder_of_an_older_version_goes_on(finished, corpus, tmp_path):
    record, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    saved = json.loads((folder / "run.json").read_text())
    del saved["accumulate"], saved["options"]["remat"], saved["recipe"]["max_warmup"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(saved))
    assert train(CONFIG, corpus, tmp_path / "run", progress=pytest.fail) == record
    other = dataclasses.replace(CONFIG, accumulate=2)
    with pytest.raises(ValueError, match="another run: accumulate is 2, was 1"):
        train(other, corpus, tmp_path / "run")


def test_two_processes_cannot_train_in_one_folder(corpus, tmp_path):
    with locked(tmp_path), pytest.raises(BusyError, match="by another process"):
        train(CONFIG, corpus, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(corpus, tmp_path):
    wild = dataclasses.replace(RECIPES["adamw"], peak_times_d_model=1e36, clip=1e30)
    seen = []
    record = train(
        dataclasses.replace(CONFIG, recipe=wild), corpus, tmp_path,
        checkpoint_seconds=0.0, progress=seen.append,
    )  # fmt: skip
    assert record.status == "diverged"
    assert np.isnan(record.loss)
    *_, before, last = untimed(tmp_path)
    assert last["loss"] is None  # NaN is no JSON
    assert before["loss"] > 0
    assert before["step"] == last["step"] - 1
    assert record.steps == last["step"] < CONFIG.steps
    assert record.tokens == record.steps * CONFIG.step_tokens
    assert record.epochs < 1
    assert record.last_checkpoint is None or record.last_checkpoint < last["step"] - 1
    read = RunRecord.read(tmp_path / "record.json")
    assert read.status == "diverged"
    assert np.isnan(read.loss)


def test_a_held_out_loss_that_is_not_finite_is_no_end(corpus, tmp_path):
    wild = dataclasses.replace(RECIPES["narrow"], peak_times_d_model=np.inf)
    record = train(dataclasses.replace(CONFIG, tokens=1, recipe=wild), corpus, tmp_path)
    assert record.status == "diverged"
    assert record.steps == 1
    assert record.last_checkpoint is None  # that of the last step is not good


def test_a_corrupt_checkpoint_is_named_and_the_one_before_it_goes_on(
    finished, corpus, tmp_path
):
    _, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    (newest,) = (tmp_path / "run" / "checkpoints").iterdir()
    for path in newest.rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=rf"{newest.name} cannot be read .* from the start"):
        train(CONFIG, corpus, tmp_path / "run")
    assert untimed(tmp_path / "run") == untimed(folder)  # nothing lost


def test_a_checkpoint_with_another_bit_is_noticed(finished, tmp_path, monkeypatch):
    """The files are as Orbax wrote them; what was meant to be written had another sign."""
    _, folder = finished
    state = last_state(folder)
    assert state is not None
    other = dataclasses.replace(state, recent=state.recent.at[3].multiply(-1.0))
    with (
        monkeypatch.context() as patch,
        contextlib.closing(Checkpoints(tmp_path / "checkpoints")) as checkpoints,
    ):
        patch.setattr("scaling_jax.training.checkpoints.checksum", lambda _: checksum(other))
        checkpoints.save(state)
    with pytest.raises(ValueError, match=r"its checksum is another\); .* from the start"):
        last_state(tmp_path)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A corpus without a held-out side."""
    folder = tmp_path_factory.mktemp("bare")
    np.save(folder / "ids.npy", np.arange(200_000) % 256)
    return prepare(folder / "ids.npy", folder / "corpus", heldout=0.0)


def test_a_run_and_an_ensemble_say_before_they_start_what_the_corpus_lacks(
    corpus, bare, tmp_path
):
    small = dataclasses.replace(CONFIG, shape=dataclasses.replace(SHAPE, vocab_size=100))
    for config, where, words in (
        (CONFIG, bare, "held-out side of the corpus has 0 tokens"),
        (
            dataclasses.replace(CONFIG, length=10**6),
            corpus,
            "held-out side .* must have 1000001",
        ),
        (small, corpus, r"vocab_size is 100; .* must be at least 256"),
    ):
        with pytest.raises(ValueError, match=words):
            train(config, where, tmp_path)
        with pytest.raises(ValueError, match=words):
            train_ensemble(config, where, seeds=[0])
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_be_made_is_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"needs 10,240,000 tokens and the corpus offers"):
        train(dataclasses.replace(CONFIG, tokens=10_240_000), corpus, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_and_loses_nothing(corpus, tmp_path):
    """A limit on file sizes stands for the disk: the write fails with an OSError."""
    script = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
{WORKER}
"""
    command = [sys.executable, "-c", script, str(corpus.folder), str(tmp_path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "OSError" in done.stderr.splitlines()[-1]
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    before = len(untimed(tmp_path))
    record = train(CONFIG, corpus, tmp_path)
    assert record.status == "finished"
    assert len(untimed(tmp_path)) > before


def test_metrics_have_neither_gaps_nor_doubles(finished):
    _, folder = finished
    steps = [line["step"] for line in untimed(folder)]
    per_call = CONFIG.steps_per_call
    assert steps == [*range(per_call, CONFIG.steps, per_call), CONFIG.steps]
    assert os.path.exists(folder / "checkpoints" / str(CONFIG.steps))
