"""Eleven families on four tables: is the best known objective found from any seed, how fast?

    python benchmarks/fit_families.py              the table, ten seeds each
    python benchmarks/fit_families.py --reference [NAMES]  the best known objectives
    python benchmarks/fit_families.py --first NAME first call of one family, nothing compiled

`BEST` holds the lowest objectives that `--reference` found, from 10,000 starts of every family
and table (5,000 in charts made by hand), or a seed of this benchmark where that was lower:
the paper's, sum of Huber, delta 1e-3, on log loss. The domains are those of the families and
of `fit`.
"""

import sys
import time
from pathlib import Path

import numpy as np

from scaling_jax.fitting import fit
from scaling_jax.laws import FAMILIES, Law
from scaling_jax.runs import CPU47, Runs, read_runs

DATA = Path(__file__).parents[1] / "../shared/data"
SAME = 1e-6
NAMES = (
    *("chinchilla", "tied", "coupled", "kaplan"),
    *("driftingratio", "scaledratio", "coupledratio", "saturatingdata"),
    *("computeratio", "boundedrational", "farseer"),
)
BEST: dict[str, dict[str, float]] = {}


def tables() -> dict[str, Runs]:
    """Return the tables of runs: the paper's, ours, Gadre's, the replication's."""
    epoch = read_runs(DATA / "epoch2024_chinchilla_runs.csv")
    return {
        "sardana": read_runs(DATA / "sardana2024_runs.csv"),
        "cpu47": CPU47,
        "gadre": read_runs(DATA / "gadre2024_c4_runs.csv"),
        "epoch": epoch.where(np.sort(np.argsort(epoch.loss)[:-5])),
    }


def family(name: str) -> type[Law]:
    """Return a family by its name."""
    return FAMILIES[name]


def print_table(seeds: int = 10) -> None:
    """Print objective, seeds at the best, agreement and seconds of every family and table."""
    print(
        f"{'':9} {'':16} {'best known':>16} {'worst seed':>11} seeds  starts  median s  max s"
    )
    for table, runs in tables().items():
        for name in NAMES:
            fit(runs, family(name))
            objectives, shares, seconds = [], [], []
            for seed in range(seeds):
                begin = time.perf_counter()
                fitted = fit(runs, family(name), seed=seed)
                seconds.append(time.perf_counter() - begin)
                objectives.append(fitted.objective)
                shares.append(fitted.starts_converged)
            best = min(BEST.get(table, {}).get(name, np.inf), *objectives)
            above = np.array(objectives) / best - 1
            print(
                f"{table:9} {name:16} {best:16.10e} {above.max():+11.1e} "
                f"{np.sum(above < SAME):2}/{seeds} {np.median(shares):7.0%} "
                f"{np.median(seconds):8.3f} {max(seconds):7.2f}",
                flush=True,
            )


def print_reference(names: list[str], starts: int = 5_000) -> None:
    """Print the best objectives from so many starts (twice, without a chart made by hand)."""
    for table, runs in tables().items():
        print(f'    "{table}": {{')
        for name in names or NAMES:
            fitted = fit(runs, family(name), starts=starts, seed=99)
            print(f'        "{name}": {fitted.objective:.12e},', flush=True)
        print("    },")


def print_first(name: str) -> None:
    """Print the seconds of a first call and of a thousand resamples."""
    runs = tables()["sardana"]
    begin = time.perf_counter()
    fit(runs, family(name))
    first = time.perf_counter() - begin
    fit(runs, family(name), bootstrap=50)
    begin = time.perf_counter()
    fit(runs, family(name), bootstrap=1000)
    print(
        f"{name}: first call {first:.1f} s; 1,000 resamples {time.perf_counter() - begin:.1f} s"
    )


def main() -> None:
    """Print what is asked for."""
    if "--reference" in sys.argv:
        print_reference(sys.argv[sys.argv.index("--reference") + 1 :])
    elif "--first" in sys.argv:
        print_first(sys.argv[-1])
    else:
        print_table()


if __name__ == "__main__":
    main()
