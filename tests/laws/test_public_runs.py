"""Published laws against the public runs of their papers."""

import csv

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.laws.schedules import MULTI_POWER
from tests.conftest import DATA, needs_x64

pytestmark = [
    needs_x64,
    pytest.mark.skipif(not (DATA / "axes").is_dir(), reason="the tables of runs are not here"),
]


def table(name, **only):
    with (DATA / "axes" / name).open() as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if all(row[key] == value for key, value in only.items())
        ]
    return lambda column: np.array([float(row[column]) for row in rows])


def r_squared(predicted, observed):
    return 1 - np.mean((np.asarray(predicted) - observed) ** 2) / np.var(observed)


@pytest.mark.parametrize(
    ("router", "within"), [("S-Base", 0.9e-2), ("RL-R", 1.8e-2), ("Hash", 1e-2)]
)
def test_clark_on_its_runs(router, within):
    runs = table("clark2022_routed.csv", group=router, k="1", routing_frequency="0.5")
    law = laws.PUBLISHED[f"clark2022-{router.lower()}"].law
    predicted = law(runs("active_params"), runs("tokens"), experts=runs("n_experts"))
    assert np.mean(np.abs(predicted / runs("loss") - 1)) < within


def test_tao_on_its_runs():
    runs = table("vocab_tao2024.csv")
    predicted = laws.PUBLISHED["tao2024"].law(
        runs("params_non_vocab"),
        runs("characters"),
        vocab_size=runs("vocab"),
        width=runs("width"),
    )
    assert r_squared(predicted, runs("loss")) > 0.94


@pytest.mark.parametrize(("corpus", "law"), [("pile", "pile"), ("stack_v2_python", "python")])
def test_parallel_streams_on_their_runs(corpus, law):
    runs = table("parscale.csv", group=corpus)
    predicted = laws.PUBLISHED[f"parscale2025-{law}"].law(
        runs("params"), 1e12, parallel_streams=runs("parallel_streams")
    )
    assert r_squared(predicted, runs("loss")) > 0.997


def test_bian_on_its_runs():
    runs = table("bian2025_shapes.csv")
    predicted = laws.PUBLISHED["bian2025"].law(
        runs("params"), runs("tokens"), width=runs("width"), depth=runs("depth")
    )
    error = np.abs(predicted / runs("loss") - 1)
    assert np.mean(error) < 0.4e-2
    assert np.max(error) < 1.4e-2


def test_quest_on_its_runs_of_16_bits():
    runs = table("quest_precision.csv", group="NoQuantizer")
    law = laws.PUBLISHED["quest2025"].law
    predicted = law(runs("params"), runs("tokens"), train_bits=runs("w_bits"))
    assert np.mean(np.abs(predicted / runs("loss") - 1)) < 0.4e-2


@pytest.mark.parametrize("bits", ["2", "3", "4", "8"])
def test_quest_on_its_runs_of_few_bits(bits):
    runs = table(
        "quest_precision.csv", group="HalfHadamardTrustQuantizer", w_bits=bits, a_bits=bits
    )
    law = laws.PUBLISHED["quest2025"].law
    predicted = law(runs("params"), runs("tokens"), train_bits=runs("w_bits"))
    assert np.mean(np.abs(predicted / runs("loss") - 1)) < 0.4e-2


@pytest.mark.parametrize("size", ["25M", "100M", "400M"])
def test_multi_power_along_its_curves(size):
    step = np.arange(1, 24001)
    warm = 3e-4 * np.minimum(step / 2160, 1.0)
    cosine = 3e-5 + 1.35e-4 * (1 + np.cos(np.pi * (step - 2160) / (24000 - 2160)))
    schedules = {
        "constant_24000": warm,
        "cosine_24000": np.where(step < 2160, warm, cosine),
        "wsdcon_9": np.where(step > 8000, 9e-5, warm),
    }
    law = MULTI_POWER[f"luo2025-{size.lower()}"].law
    for name, rates in schedules.items():
        runs = table("mpl_curves_train.csv", size_label=size, schedule=name)
        predicted = law(rates, runs("step").astype(int))
        assert np.mean(np.abs(predicted / runs("loss") - 1)) < 0.27e-2


def test_the_olmo_ladder_on_its_rungs():
    runs = table("olmo_ladder_finals.csv", rerun="False")
    kept = runs("chinchilla_multiplier") >= 1
    predicted = laws.PUBLISHED["olmo2024-ladder"].law(runs("params"), runs("tokens"))
    assert np.max(np.abs(predicted / runs("loss") - 1)[kept]) < 0.8e-2
