"""Training throughput: ours, the same model in plain linen, and in eager PyTorch.

A step is the whole of it: loss and gradient, clipping, Lion. Every contender starts from the
same weights and must give the same first loss. They run in turn, many times, each beside a
measurement of the matmul peak, and each counts with its best: on a shared machine only ratios
of one run mean anything. Run, where PyTorch is wanted after `pip install torch==2.13.0`:

    python benchmarks/train_throughput.py
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import train_linen

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.config import RunConfig
from scaling_jax.training.mesh import make_mesh, to_devices
from scaling_jax.training.peak import matmul_peak
from scaling_jax.training.programs import programs

LENGTH = 128
CASES = ((64, 4, 4, 16), (128, 4, 4, 16), (256, 6, 4, 16), (512, 6, 8, 16))
SECONDS = 20.0  # for each size, all contenders together
MIN_ROUNDS = 3


def config_of(d_model: int, layers: int, heads: int, batch: int) -> RunConfig:
    shape = TransformerShape(
        d_model=d_model, layers=layers, heads=heads, kv_heads=heads // 4, d_ff=4 * d_model,
        vocab_size=256,
    )  # fmt: skip
    return RunConfig(shape=shape, tokens=20 * shape.params, length=LENGTH, batch=batch)


Run = Callable[[int], None]  # takes so many steps


def ours(config: RunConfig, windows: np.ndarray) -> tuple[float, Run, Any]:
    """Return the first loss, calls as the trainer makes them, and the first parameters."""
    mesh = make_mesh()
    made = programs(config.shape, config.options, config.recipe, config.accumulate, mesh)
    state = made.start(config.seed)
    params = jax.tree.map(np.array, state.params)
    first = float(made.heldout(state.params, windows[0]).mean())

    def run(steps: int) -> None:
        nonlocal state
        batch = to_devices(mesh, windows, 1)
        state, metrics = made.advance(config.schedule, state, batch, steps)
        metrics.loss.block_until_ready()

    return first, run, params


def contenders(config: RunConfig) -> dict[str, Run]:
    """Return the contenders, after a look at their first losses."""
    size = (config.steps_per_call, config.batch, LENGTH + 1)
    windows = np.random.default_rng(0).integers(0, 256, size, dtype=np.int32)
    first, run, params = ours(config, windows)
    found = {"ours": (first, run), "linen": train_linen.contender(config, params, windows)}
    if importlib.util.find_spec("torch"):
        import train_torch  # noqa: PLC0415

        found["torch"] = train_torch.contender(config, params, windows)
    losses = [loss for loss, _ in found.values()]
    assert np.ptp(losses) < 1e-4, losses
    return {name: run for name, (_, run) in found.items()}


def seconds(run: Run, steps: int) -> float:
    start = time.perf_counter()
    run(steps)
    return time.perf_counter() - start


def race(config: RunConfig) -> dict[str, tuple[float, float]]:
    """Return each one's best tokens/s and the best matmul peak measured beside it."""
    runs, steps = contenders(config), config.steps_per_call
    for run in runs.values():
        run(1)  # compiles
    best = dict.fromkeys(runs, (0.0, 0.0))
    end, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or rounds < MIN_ROUNDS:
        rounds += 1
        for name, run in runs.items():
            peak = matmul_peak.__wrapped__(config.options.dtype)
            rate = steps * config.step_tokens / seconds(run, steps)
            best[name] = max(best[name][0], rate), max(best[name][1], peak)
    return best


def main(cases: list[str]) -> None:
    if not importlib.util.find_spec("torch"):
        print("no PyTorch: it is not installed here; pip install torch==2.13.0")
    print("d_model layers batch  contender  tokens/s  share of peak (GFLOP/s)  ours is")
    ratios: dict[str, list[float]] = {}
    for case in CASES:
        if cases and str(case[0]) not in cases:
            continue
        config = config_of(*case)
        best = race(config)
        peaks = [peak for _, peak in best.values()]
        if max(peaks) > 1.1 * min(peaks):
            print("the next lines: the machine was busy with other work; trust no ratio")
        flops = float(config.shape.train_flops(LENGTH, causal=False))
        for name, (rate, peak) in best.items():
            ratio = best["ours"][0] / rate
            if name != "ours":
                ratios.setdefault(name, []).append(ratio)
            print(
                f"{case[0]:7d} {case[1]:6d} {case[3]:5d}  {name:9s} {rate:9,.0f}"
                f"  {rate * flops / peak:13.2f} ({peak / 1e9:7.1f})  {ratio:6.2f} x",
                flush=True,
            )
    for name, values in ratios.items():
        print(f"geometric mean, ours over {name}: {np.exp(np.mean(np.log(values))):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
