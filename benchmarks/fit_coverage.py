"""How often the 95 % intervals of `fit` hold the truth, over simulated sets of runs.

    python benchmarks/fit_coverage.py [sets] [resamples]

Runs at the paper's 47 points (a stand-in grid where its data are absent) and at twelve,
losses from Hoffmann's law with 1 % normal noise, the paper's Huber objective. Aim: 93 to
97 % at n = 47 and at least 90 % at n = 12.
"""

import sys
import time
from pathlib import Path

import numpy as np

from scaling_jax.fitting import fit
from scaling_jax.laws import HOFFMANN_2022
from scaling_jax.runs import Runs, read_runs

DATA = Path(__file__).parents[1] / "../shared/data/sardana2024_runs.csv"
NOISE = 0.01
NAMES = ("E", "A", "alpha", "B", "beta")


def designs() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return (params, tokens) of the two designs."""
    sizes = np.repeat([1e8, 3e8, 1e9], 4)
    twelve = sizes, sizes * np.tile([10.0, 30.0, 100.0, 300.0], 3)
    if DATA.exists():
        runs = read_runs(DATA)
        return {47: (runs.params, runs.tokens), 12: twelve}
    sizes = np.repeat(np.geomspace(1.5e8, 6e9, 6), 8)[:47]
    return {47: (sizes, sizes * np.tile(np.geomspace(10, 1000, 8), 6)[:47]), 12: twelve}


def coverage(params: np.ndarray, tokens: np.ndarray, sets: int, **options) -> np.ndarray:
    """Return the share of sets whose interval holds the truth, per coefficient."""
    loss, rng = np.asarray(HOFFMANN_2022(params, tokens), float), np.random.default_rng(0)
    truth = [getattr(HOFFMANN_2022, name) for name in NAMES]
    held = np.zeros((sets, len(NAMES)), bool)
    for i in range(sets):
        noisy = loss * np.exp(NOISE * rng.standard_normal(len(loss)))
        runs = Runs(params=params, tokens=tokens, loss=noisy)
        ends = fit(runs, seed=i, **options).intervals
        held[i] = [ends[n][0] <= t <= ends[n][1] for n, t in zip(NAMES, truth, strict=True)]
    return held.mean(axis=0)


def main(sets: int, resamples: int) -> None:
    """Print the table."""
    print(f"{sets} sets, {resamples} resamples each, noise {NOISE:.0%}")
    print(f"{'n':>3} {'intervals':<22}" + "".join(f"{name:>8}" for name in NAMES) + "      s")
    for n, (params, tokens) in designs().items():
        for label, options in {
            "bootstrap, residuals": {"bootstrap": resamples},
            "curvature": {},
        }.items():
            start = time.perf_counter()
            held = coverage(params, tokens, sets, **options)
            row = "".join(f"{share:8.1%}" for share in held)
            print(f"{n:3} {label:<22}{row} {time.perf_counter() - start:6.0f}", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["500", "300"][len(sys.argv) - 1 :])))
