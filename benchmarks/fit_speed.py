"""How fast `fit` finds the global optimum, beside SciPy's L-BFGS-B in the same run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/fit_speed.py

(SciPy's small vectors gain nothing from a second thread of its linear algebra, and lose
much by it when the machine has other work.)

The opponent has analytic gradients, and the paper's 4,500 starts (a sample of them is timed
and scaled) or, for the bootstrap, the full-data optimum to start from. Quality stands
beside time: by how much an objective is above the best known.
"""

import itertools
import time
from pathlib import Path

import numpy as np
from scipy import optimize, special

from scaling_jax.fitting import fit
from scaling_jax.laws import HOFFMANN_2022
from scaling_jax.runs import Runs, read_runs

DATA = Path(__file__).parents[1] / "../shared/data"
DELTA = 1e-3
SAMPLE = 60


def simulated(count: int, noise: float = 0.01, seed: int = 0) -> Runs:
    """Return runs of Hoffmann's law at scattered sizes and ratios."""
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(5e7), np.log(1e10), count))
    tokens = params * np.exp(rng.uniform(np.log(5), np.log(500), count))
    loss = np.asarray(HOFFMANN_2022(params, tokens), float)
    loss = loss * np.exp(noise * rng.standard_normal(count))
    return Runs(params=params, tokens=tokens, loss=loss)


def tables() -> dict[int, Runs]:
    """Return the 240 runs of the replication and the paper's 47, or stand-ins."""
    if not DATA.exists():
        print("the shared data are not here: simulated runs instead")
        return {240: simulated(240), 47: simulated(47)}
    runs = read_runs(DATA / "epoch2024_chinchilla_runs.csv")
    keep = np.argsort(runs.loss)[:-5]
    return {240: runs.where(keep), 47: read_runs(DATA / "sardana2024_runs.csv")}


def objective(theta: np.ndarray, runs: Runs, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the paper's objective and gradient at (e, a, b, alpha, beta)."""
    e, a, b, alpha, beta = theta
    x, y = np.log(runs.params), np.log(runs.tokens)
    z = np.stack([np.full_like(x, e), a - alpha * x, b - beta * y])
    r = special.logsumexp(z, axis=0) - np.log(runs.loss)
    p = special.softmax(z, axis=0) * (weight * np.clip(r, -DELTA, DELTA))
    gradient = [p[0].sum(), p[1].sum(), p[2].sum(), -(x * p[1]).sum(), -(y * p[2]).sum()]
    return float(weight @ special.huber(DELTA, r)), np.array(gradient)


def opponent(
    runs: Runs, starts: list, weights: list, scale: float = 1.0, **options: float
) -> tuple[np.ndarray, float]:
    """Return SciPy's objectives and its seconds per fit."""

    def scaled(theta: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(theta, runs, weight)
        return scale * value, scale * gradient

    begin = time.perf_counter()
    found = [
        optimize.minimize(
            scaled, start, (weight,), jac=True, method="L-BFGS-B", options=options
        )
        for start, weight in zip(starts, weights, strict=True)
    ]
    seconds = (time.perf_counter() - begin) / len(starts)
    return np.array([end.fun for end in found]) / scale, seconds


def timed(call, repeats: int = 5):
    """Return what a call returns and its median seconds."""
    answers, seconds = [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        answers.append(call())
        seconds.append(time.perf_counter() - begin)
    return answers[-1], float(np.median(seconds))


def global_optimum(runs: Runs, rng: np.random.Generator) -> np.ndarray:
    """Race for the global optimum; return SciPy's starting point for the bootstrap."""
    fitted, first = timed(lambda: fit(runs), 1)
    fitted, ours = timed(lambda: fit(runs))
    exponents, floors, scales = np.arange(5) / 2, np.arange(-2, 3) / 2, np.arange(6) * 5.0
    grid = list(itertools.product(floors, scales, scales, exponents, exponents))
    picked = [grid[i] for i in rng.choice(len(grid), SAMPLE, replace=False)]
    found, each = opponent(runs, picked, [np.ones(len(runs))] * SAMPLE)
    share = np.mean(found < fitted.objective * 1.01)
    print(f"global optimum of {len(runs)} runs")
    print(f"  ours   {ours:9.3f} s (first call, compiling, {first:.1f} s)")
    print(f"         objective {fitted.objective:.9e}, {fitted.starts_converged:.0%} of starts")
    print(f"  SciPy  {each * len(grid):9.1f} s for {len(grid)} starts ({SAMPLE} timed)")
    print(f"         best {found.min() / fitted.objective - 1:+.1e}, {share:.0%} within 1 %")
    print(f"  {each * len(grid) / ours:.0f} times as fast")
    law = fitted.law
    return np.array([np.log(law.E), np.log(law.A), np.log(law.B), law.alpha, law.beta])


def bootstrap(runs: Runs, start: np.ndarray, count: int, rng: np.random.Generator) -> None:
    """Race for the refits of resampled runs."""
    _, plain = timed(lambda: fit(runs))
    fit(runs, bootstrap=64, resample="runs")
    fitted, ours = timed(lambda: fit(runs, bootstrap=count, resample="runs"))
    ours -= plain
    n = len(runs)
    weights = [rng.multinomial(n, np.full(n, 1 / n)).astype(float) for _ in range(SAMPLE)]
    best = np.array([fit(runs.with_columns(weight=w)).objective for w in weights])
    print(f"bootstrap of {n} runs, {count} refits")
    print(f"  ours   {ours:9.2f} s; standard error of alpha {fitted.laws.alpha.std():.4f}")
    tight = {"scale": 1e4, "ftol": 1e-15, "gtol": 1e-10, "maxiter": 20_000, "maxfun": 20_000}
    for label, options in (("default tolerances", {}), ("tight tolerances", tight)):
        found, each = opponent(runs, [start] * SAMPLE, weights, **options)
        excess = found / best - 1
        print(f"  SciPy  {each * count:9.1f} s from the full-data optimum, {label}")
        print(
            f"         {np.median(excess):+.1e} above ours, at worst {excess.max():+.1e}; "
            f"{each * count / ours:.0f} times as long"
        )


def main() -> None:
    """Print the figures."""
    rng = np.random.default_rng(0)
    runs = tables()
    start = global_optimum(runs[240], rng)
    bootstrap(runs[240], start, 4000, rng)
    _, first = timed(lambda: fit(runs[47]), 1)
    _, seconds = timed(lambda: fit(runs[47]), 20)
    print(f"default fit of 47 runs: {seconds * 1e3:.0f} ms (first call {first:.1f} s)")
    for count in (1_000, 10_000, 100_000):
        many = simulated(count)
        fit(many)
        fitted, seconds = timed(lambda many=many: fit(many), 1)
        print(f"fit of {count:>7,} runs: {seconds:6.2f} s, alpha {fitted.law.alpha:.4f}")


if __name__ == "__main__":
    main()
