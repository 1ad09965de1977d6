"""A grid of ten million plans against the bare vectorised planner, and its peak memory.

The bare planner is `jax.jit(jax.vmap(plan))` on blocks of 100,000 scenarios whose inputs are
already there. Each part runs in a process of its own, for the peak is one of a process. Run:

    python benchmarks/grid.py
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import scaling_jax as sj
from scaling_jax.grids import grid, program
from scaling_jax.laws import HOFFMANN_2022 as LAW

jax.config.update("jax_enable_x64", True)

AXES = {"loss": "1.8:3.0:100", "tokens": "1e9:1e14:1000:log", "price": "0.5:2.0:100"}
POINTS = 10**7
BLOCK = 10**5
REPEATS = 3


def scenario(loss: jax.Array, tokens: jax.Array, price: jax.Array) -> dict[str, jax.Array]:
    train = sj.TrainFleet(peak_flops=3.12e14, dollars_per_hour=price)
    serve = sj.ServeFleet(peak_flops=6.24e14, dollars_per_hour=0.6)
    cost = sj.Dollars(train=train, serve=serve)
    plan = sj.plan(LAW, cost, sj.Demand(output_tokens=tokens), loss=loss)
    return {"params": plan.params, "tokens_per_param": plan.tokens / plan.params}


def bare() -> None:
    rng = np.random.default_rng(0)
    drawn = (
        rng.uniform(1.8, 3, BLOCK),
        10 ** rng.uniform(9, 14, BLOCK),
        rng.uniform(0.5, 2, BLOCK),
    )
    inputs = [jnp.asarray(each) for each in drawn]
    plans = jax.jit(jax.vmap(scenario))
    jax.block_until_ready(plans(*inputs))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(POINTS // BLOCK):
            jax.block_until_ready(plans(*inputs))
        times.append(time.perf_counter() - start)
    report("bare planner", min(times))


def in_memory() -> None:
    grid(scenario, AXES | {"price": [1.0]})
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        grid(scenario, AXES)
        times.append(time.perf_counter() - start)
    report("grid, in memory", min(times))


def streamed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        grid(scenario, AXES, out=Path(folder) / "grid.zarr", memory=2**26)
        seconds = time.perf_counter() - start
    report("grid, to disk, memory=64 MiB", seconds)


def bits() -> None:
    reference = grid(scenario, AXES)
    for rows in (1, 13, 128):
        program._ROWS = rows
        again = grid(scenario, AXES)
        same = all(np.array_equal(again[name], reference[name]) for name in again.values)
        print(f"chunks of {rows * program.LANES:9,}: the same bits: {same}")


def report(name: str, seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:30s} {POINTS / seconds / 1e6:6.1f} M plans/s, peak {peak:6.0f} MiB")


PARTS = {part.__name__: part for part in (bare, in_memory, streamed, bits)}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
    else:
        for each in PARTS:
            subprocess.run([sys.executable, __file__, each], check=True)
