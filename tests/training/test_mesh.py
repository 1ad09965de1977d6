"""One run on many devices or in two processes is the run on one device."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from scaling_jax.training import train
from scaling_jax.training.locking import locked
from scaling_jax.training.mesh import AXES, check_batch, make_mesh
from tests.support import approx
from tests.training.conftest import CONFIG

SHORT = dataclasses.replace(
    CONFIG, batch=8, tokens=8 * CONFIG.length * 24, heldout_tokens=2**12
)
WORKER = """
import contextlib, sys
import jax
corpus, out, fsdp, devices, address, process = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", int(devices))
if address:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, 2, int(process))
from scaling_jax.training import Corpus, train
from scaling_jax.training.processes import BusyError, is_lead, together
from tests.training.test_mesh import SHORT

if address:
    with contextlib.suppress(BusyError):
        train(SHORT, Corpus.open(corpus), out + "/busy", fsdp=int(fsdp))
        sys.exit("trained in a folder that another process holds")
    with contextlib.suppress(OSError if is_lead() else ValueError):
        with together():
            if is_lead():
                raise OSError("no space left")
        sys.exit("went on without the lead")
train(SHORT, Corpus.open(corpus), out, fsdp=int(fsdp))
"""


def work(corpus, out, *, fsdp, devices, address="", process=0):
    command = [
        sys.executable,
        "-c",
        WORKER,
        corpus.folder,
        out,
        fsdp,
        devices,
        address,
        process,
    ]
    return subprocess.Popen(
        list(map(str, command)), cwd=Path(__file__).parents[2],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
    )  # fmt: skip


def record(out):
    return json.loads((out / "record.json").read_text())


def free_port():
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return end.getsockname()[1]


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory):
    return train(SHORT, corpus, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("fsdp", [1, 4])
def test_eight_devices_are_one(alone, corpus, tmp_path, fsdp):
    assert work(corpus, tmp_path, fsdp=fsdp, devices=8).wait() == 0
    many = record(tmp_path)
    assert many["devices"] == "8 x cpu"
    assert many["loss"] == approx(alone.loss, rel=2e-3)
    assert many["train_loss"] == approx(alone.train_loss, rel=2e-3)


def test_two_processes_are_one_and_both_hear_a_refusal(alone, corpus, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "busy").mkdir()
    with locked(tmp_path / "busy"):
        workers = [
            work(corpus, tmp_path, fsdp=2, devices=2, address=address, process=each)
            for each in (0, 1)
        ]
        assert [worker.wait() for worker in workers] == [0, 0]
    both = record(tmp_path)
    assert both["devices"] == "4 x cpu"
    assert both["loss"] == approx(alone.loss, rel=2e-3)
    assert both["train_loss"] == approx(alone.train_loss, rel=2e-3)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [SHORT.steps]


def test_a_mesh_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"fsdp is 3; it must divide the 1 devices"):
        make_mesh(3) if jax.device_count() == 1 else pytest.skip("several devices here")


@pytest.mark.parametrize(
    ("accumulate", "words"),
    [
        (1, "batch is 10; the 4 devices must divide it"),
        (5, "batch is 10 in 5 parts of 2; the 4 devices must divide each part"),
    ],
)
def test_a_batch_that_devices_do_not_divide_is_told_as_it_was_given(accumulate, words):
    mesh = jax.sharding.AbstractMesh((4, 1), AXES)
    with pytest.raises(ValueError, match=words):
        check_batch(mesh, 10, accumulate)  # pyright: ignore[reportArgumentType]
