"""Calibration: known numbers are found again, and left-out models are predicted."""

import csv
import dataclasses

import numpy as np
import pytest

from scaling_jax.serving import Efficiency, calibrate, held_out, measurements, read_measured
from scaling_jax.serving.calibrate import GUESS, Calibration
from scaling_jax.serving.measured import find_chip
from scaling_jax.shapes import TransformerShape
from tests.conftest import DATA, needs_x64

SHAPES = {
    f"llama-{layers}": TransformerShape(
        d_model=width, layers=layers, heads=width // 128, kv_heads=8, d_ff=7 * width // 2,
        vocab_size=128_256, tied=False, gated=True,
    )
    for width, layers in ((4096, 32), (8192, 80))
}  # fmt: skip
needs_data = pytest.mark.skipif(
    not (DATA / "serving_measured.csv").exists(), reason="the measured rows are not here"
)


def rows(chip, values=None):
    """Throughputs and times per token of two models, over lengths and concurrencies."""
    made = [
        {"model": model, "chip": chip, "n_chips": str(chips), "weight_dtype": dtype,
         "kv_dtype": "fp8", "concurrency": concurrency, "input_tokens": str(tokens_in),
         "output_tokens": str(tokens_out), "metric": metric, "value": "1"}
        for model in SHAPES for chips in (2, 8) for dtype in ("bf16", "fp8")
        for concurrency in ("4", "64", "max")
        for tokens_in, tokens_out in ((100, 400), (4000, 200))
        for metric in ("output tok/s total", "TPOT ms")
    ]  # fmt: skip
    for row, value in zip(made, [] if values is None else values, strict=False):
        milli = 1e3 if row["metric"] == "TPOT ms" else 1.0
        row["value"] = repr(float(value) * milli)
    return made


def predicted_by(efficiency, table):
    known = Calibration(efficiency, {}, {}, np.zeros(0), 0)
    return known.predict(table)


@needs_x64
def test_known_efficiencies_are_found_again():
    truth = dataclasses.replace(
        GUESS, kv_bandwidth=0.95, eight_bit=0.65, layer_seconds=70e-6, link=0.35
    )
    blank = measurements(rows("H100-SXM-80GB"), SHAPES)
    exact = predicted_by(truth, blank)
    noisy = exact * np.exp(0.02 * np.random.default_rng(0).normal(size=exact.size))
    noisy[::17] *= 2  # and some that no model explains
    found = calibrate(measurements(rows("H100-SXM-80GB", noisy), SHAPES), chip_prior={})
    for name in ("kv_bandwidth", "eight_bit", "link"):
        off = np.log(getattr(found.efficiency, name) / getattr(truth, name))
        assert abs(off) < 3 * found.deviation[name] + 0.02, name
        assert found.deviation[name] < 0.2
    assert np.nanmedian(np.abs(np.log(found.predict(blank) / exact))) < 0.02
    assert predicted_by(found.efficiency, blank) == approx_all(found.predict(blank))


def approx_all(values):
    return pytest.approx(values, rel=1e-6)


@needs_x64
def test_rows_that_say_nothing_are_passed_over(tmp_path):
    table = rows("H100-SXM")[:12]
    table[0]["metric"] = "smiles"
    table[1]["chip"] = "abacus"
    table[2]["concurrency"] = "EP32/DP32 over 4 nodes"
    table[3]["model"] = "unheard of"
    read = measurements(table, SHAPES)
    assert list(np.flatnonzero(~read.usable)) == [0, 1, 2, 3]
    told = predicted_by(Efficiency(), read)
    assert list(np.flatnonzero(np.isnan(told))) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no row is understood"):
        calibrate(read.where(~read.usable))
    path = tmp_path / "rows.csv"
    path.write_text("model,chip\na,b\n")
    with pytest.raises(ValueError, match="has no column 'n_chips'"):
        read_measured(path, path)


def test_names_of_chips():
    names = {
        "H100-SXM-80GB": "H100-SXM", "A100-SXM-80GB": "A100-80GB", "A100-SXM-40GB": "A100-40GB",
        "GH200-480GB": "GH200", "B200-180GB": "B200", "TPU-v5e": "TPU-v5e", "L40S": "L40S",
    }  # fmt: skip
    assert {name: find_chip(name).name for name in names} == names


@needs_x64
@needs_data
def test_models_that_were_left_out_are_predicted():
    """The bars of throughput: a median of 11 % and a 90th percentile of 35 %, by tier."""
    read = read_measured(DATA / "serving_measured.csv", DATA / "serving_models.csv")
    kind = np.array([item.kind if item else "" for item in read.items])
    tier = read.column("tier")
    error = np.abs(held_out(read.where((kind == "throughput") & (tier != "C"))))
    tier = tier[(kind == "throughput") & (tier != "C")]
    for name, count in (("A", 63), ("B", 428)):
        one = error[tier == name]
        assert len(one) == count
        assert np.median(one) < 0.11, name
        assert np.quantile(one, 0.9) < 0.35, name


@needs_data
def test_the_all_reduces_that_were_measured():
    """Within a factor of two in the median; `benchmarks/serve_measured.py` prints more."""
    from scaling_jax.serving import Servers
    from scaling_jax.serving.roofline import all_reduce

    with (DATA / "allreduce_measured.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["chip"] in ("A100-SXM", "H100-SXM")]
    errors = []
    for row in table:
        chip = "A100-80GB" if row["chip"] == "A100-SXM" else row["chip"]
        line = all_reduce(Servers.of(chip), float(row["n_gpus"]))
        seconds = float(line.fixed) + float(line.per_byte) * float(row["bytes"])
        errors.append(np.log(seconds / (1e-6 * float(row["latency_us"]))))
    assert np.median(np.abs(errors)) < np.log(2)
