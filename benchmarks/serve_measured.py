"""How well the roofline predicts measured serving: held-out models, sources, chips, engines.

    python benchmarks/serve_measured.py [--data ../shared/data] [--fitted]

Errors are of the logarithm of predicted over measured, median / 90th percentile. `--fitted`
prints the efficiencies that `serving/fitted.py` and `Efficiency` hold.
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from scaling_jax.serving import Calibration, Measurements, calibrate, held_out, measurements
from scaling_jax.serving.calibrate import CHIP_PRIOR
from scaling_jax.serving.measured import find_chip, read_measured, shape_of
from scaling_jax.serving.roofline import all_reduce
from scaling_jax.serving.servers import Servers

jax.config.update("jax_enable_x64", True)
DATA = Path(__file__).parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--fitted", action="store_true")
    options = parser.parse_args()
    rows = read_measured(
        options.data / "serving_measured.csv", options.data / "serving_models.csv"
    )
    latencies = read_latencies(options.data / "serving_latency.csv")
    throughput(rows)
    tpot(latencies)
    everything(joined(rows, latencies), options.fitted)
    weak(rows, latencies)
    reduces(options.data / "allreduce_measured.csv")


def said(error: np.ndarray) -> str:
    """Return median / 90th percentile, in per cent, with the mean of the ratio's departure."""
    size = np.abs(error[np.isfinite(error)])
    if not len(size):
        return "  -"
    ratio = np.mean(np.expm1(size))
    return (
        f"{np.median(size):6.1%} / {np.quantile(size, 0.9):6.1%}   mean {ratio:6.1%}   "
        f"bias {np.nanmean(error):+5.2f}   {len(size):4d} rows"
    )


def kinds(table: Measurements) -> np.ndarray:
    return np.array([item.kind if item else "" for item in table.items])


def by(table: Measurements, error: np.ndarray, column: str) -> None:
    values = table.column(column)
    for value in dict.fromkeys(values):
        print(f"    {said(error[values == value])}   {value[:70]}")


def throughput(rows: Measurements) -> None:
    table = rows.where((kinds(rows) == "throughput") & (rows.column("tier") != "C"))
    print("\nThroughput, models held out by thirds (bars 11 % / 35 %)")
    tier = table.column("tier")
    for seed in range(4):
        error = held_out(table, seed=seed)
        print(f"  deal {seed}: all {said(error)}")
        for name in ("A", "B"):
            print(f"    tier {name}  {said(error[tier == name])}")
        if seed == 0:
            for column in ("source", "model", "chip"):
                print(f"  by {column}, deal 0")
                by(table, error, column)


def read_latencies(path: Path) -> Measurements:
    """Return ai-dynamo/aiconfigurator's table as measurements, both times of each row."""
    shapes, rows = {}, []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            shapes[row["model_path"]] = _shape(row)
            rows += [
                _row(row, *each) for each in (("TPOT ms", "tpot_ms"), ("TTFT ms", "ttft_ms"))
            ]
    return measurements(rows, shapes)


def _shape(row: Mapping[str, str]):
    mixture = row["experts"] not in ("", "0")
    text = {
        **{name: row[name] for name in ("layers", "d_model", "heads", "kv_heads", "vocab")},
        "head_dim": row["d_head"],
        "gated": "1",
        "d_ff": row["d_ff_expert"] if mixture else row["d_ff"],
    }
    if mixture:
        text |= {name: row[name] for name in ("experts", "active_experts")}
    if "gpt-oss" in row["model_path"]:  # every second layer sees 128 tokens
        text |= {"window": "128", "window_layers": str(int(row["layers"]) // 2)}
    return shape_of(text)


def _row(row: Mapping[str, str], metric: str, column: str) -> dict[str, str]:
    return {
        "tier": "latency", "source": f"aiconfigurator: {row['backend']}",
        "model": row["model_path"], "chip": row["system"], "n_chips": row["tp"],
        "weight_dtype": row["precision"],
        "kv_dtype": "bf16" if row["precision"] == "bf16" else "fp8",
        "concurrency": row["concurrency"], "input_tokens": row["isl"],
        "output_tokens": row["osl"], "metric": metric, "value": row[column],
        "steady": row["ttft_lt_3s"],
    }  # fmt: skip


def steady(latencies: Measurements) -> Measurements:
    """Return the times per token of rows whose concurrency is that of the engine."""
    return latencies.where((kinds(latencies) == "tpot") & (latencies.column("steady") == "1"))


def tpot(latencies: Measurements) -> None:
    table = steady(latencies)
    error = calibrate(table, chip_prior={}).error
    print("\nTime per output token at known concurrency, one set (bar 9 %)")
    print(f"  all {said(error)}")
    model, engine = table.column("model"), table.column("source")
    dense = ~np.char.startswith(model.astype(str), "openai")
    alone = calibrate(table.where(dense), chip_prior={}).error
    print(f"  dense models alone, one set {said(alone)}")
    for column in ("source", "model"):
        by(table, error, column)
    print("  one set per model, chip and engine (bar 6 %)")
    parts = []
    for pair in sorted(set(zip(model, engine, strict=True))):
        mask = (model == pair[0]) & (engine == pair[1])
        if mask.sum() >= 5:
            parts.append(calibrate(table.where(mask), chip_prior={}).error)
            print(f"    {said(parts[-1])}   {pair[0]}, {pair[1]}")
    print(f"  all {said(np.concatenate(parts))}")


def joined(rows: Measurements, latencies: Measurements) -> Measurements:
    """Return all rows that the default efficiencies are fitted to."""
    kind, tier = kinds(rows), rows.column("tier")
    alone = (kind == "ttft") & (tier == "A") & (rows.column("concurrency") == "1")
    others = np.isin(kind, ("throughput", "tpot", "step", "latency")) & (tier != "C")
    first, second = rows.where(alone | others), steady(latencies)
    return measurements(first.rows + second.rows, {**rows.shapes, **latencies.shapes})


def everything(table: Measurements, fitted: bool) -> None:
    found = calibrate(table)
    print("\nAll rows of tiers A, B and latency, one set per chip (the defaults)")
    print(f"  all {said(found.error)}")
    kind = kinds(table)
    for each in dict.fromkeys(kind):
        print(f"  {each}")
        mask = kind == each
        by(table.where(mask), found.error[mask], "source")
    if fitted:
        show(found)


def show(found: Calibration) -> None:
    print("\nEfficiencies, and one standard deviation of their logarithm")
    for name, value in vars(found.efficiency).items():
        print(f"  {name:22s} {value:10.3g}   {found.deviation.get(name, 0.0):.2f}")
    for chip, own in found.chips.items():
        print(
            f"  {chip:12s}", {name: float(f"{getattr(own, name):.3g}") for name in CHIP_PRIOR}
        )


def weak(rows: Measurements, latencies: Measurements) -> None:
    """Rows of tier C, of superseded engines and reference code, by the defaults."""
    found = calibrate(joined(rows, latencies))
    table = rows.where((rows.column("tier") == "C") & rows.usable)
    value = np.array([item.value for item in table.items if item])
    error = np.log(found.predict(table) / value)
    print("\nTier C (not fitted)")
    kind = kinds(table)
    for each in dict.fromkeys(kind):
        print(f"  {each}")
        mask = kind == each
        by(table.where(mask), error[mask], "source")


def reduces(path: Path) -> None:
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    print("\nAll-reduces inside CUDA graphs, by the defaults")
    names = {"A100-SXM": "A100-80GB", "H200-SXM": "H200"}
    for pair in dict.fromkeys((row["chip"], row["impl"]) for row in table):
        chip = find_chip(names.get(pair[0], pair[0]))
        assert chip is not None
        servers = Servers.of(chip, dollars_per_hour=1.0)
        errors = []
        for row in table:
            if (row["chip"], row["impl"]) == pair:
                line = all_reduce(servers, float(row["n_gpus"]))
                seconds = line.fixed + line.per_byte * float(row["bytes"])
                errors.append(float(np.log(1e6 * seconds / float(row["latency_us"]))))
        print(f"  {said(np.array(errors))}   {', '.join(pair)}")


if __name__ == "__main__":
    main()
