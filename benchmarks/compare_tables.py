"""How well the mixture of `compare` predicts, over tables and directions.

    python benchmarks/compare_tables.py [TABLE …]

Every table is cut along every direction: `compare` sees the runs below and its members, and
its mixture, predict those above. Printed: the mean absolute relative error of each, the
mixture's over Chinchilla's, and over all splits the geometric mean of that and the worst.
The tables are those of `../shared/data`; of one with several runs at a point the best counts.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaling_jax.comparing import compare, predict
from scaling_jax.comparing.toward import DIRECTIONS, Direction, along, origins
from scaling_jax.runs import CPU47, Runs, read_runs

DATA = Path(__file__).parents[1] / "../shared/data"
LEAST = 12  # runs to compare on
NAMED = {"sardana": 100.0, "cpu47": 100.0, "epoch": 100.0, "gadre": 50.0}


def tables() -> dict[str, Runs]:
    """Return the tables by name."""
    axes = DATA / "axes"
    epoch = read_runs(DATA / "epoch2024_chinchilla_runs.csv")
    schedules = read_runs(axes / "haegele_schedules.csv").select(diverged="False")
    once = read_runs(axes / "datablations_c4.csv").select(max_epochs=1, min_tokens=1e9)
    return {
        "sardana": read_runs(DATA / "sardana2024_runs.csv"),
        "cpu47": CPU47,
        "gadre": read_runs(DATA / "gadre2024_c4_runs.csv"),
        "olmo": read_runs(axes / "olmo_ladder_finals.csv"),
        "haegele": best(schedules),
        "datablations": once.select(max_loss=4.5),
        "steplaw": best(read_runs(axes / "steplaw_dense.csv")),
        "gemstones": read_runs(axes / "gemstones_hot.csv"),
        "epoch": epoch.where(np.sort(np.argsort(epoch.loss)[:-5])),
    }


def best(runs: Runs) -> Runs:
    """Return the run of least loss at each point."""
    order = np.argsort(runs.loss, kind="stable")
    points = np.round(np.log([runs.params, runs.tokens])[:, order], 3)
    first = np.unique(points, axis=1, return_index=True)[1]
    return runs.where(np.sort(order[first]))


def splits(name: str, runs: Runs) -> Iterator[tuple[Direction, str, np.ndarray]]:
    """Yield directions, what is seen in words, and which runs are."""
    if name in NAMED:
        limit = NAMED[name]
        yield "tokens_per_param", f"D/N <= {limit:g}", runs.within(max_tokens_per_param=limit)
    for toward in DIRECTIONS:
        shares = (0.7, 0.85) if toward == "tokens_per_param" else (0.8,)
        for share in shares:
            found = origins(along(runs, toward), np.ones(len(runs), bool), (share,), LEAST)
            if len(found) and found[0].sum() < len(runs) - 1:
                yield toward, f"lowest {share:.0%}", found[0]


def main() -> None:
    """Print a row for every split, and what they come to."""
    wanted = sys.argv[1:]
    ratios = {}
    for name, runs in tables().items():
        if wanted and name not in wanted:
            continue
        plain = Runs(params=runs.params, tokens=runs.tokens, loss=runs.loss)
        for toward, words, seen in splits(name, plain):
            begun = time.perf_counter()
            found = compare(plain.where(seen), toward=toward)
            told = predict(found, plain.where(~seen))
            seconds = time.perf_counter() - begun
            errors = {each: 100 * one.mean_error for each, one in told.items()}
            ratio = errors["mixture"] / errors["chinchilla"]
            ratios[name, toward, words] = ratio
            leader = next(iter(found.weights))
            print(
                f"{name:13s}{toward:17s}{words:12s}{seen.sum():4d}/{len(seen):3d}"
                f"  mixture {errors['mixture']:6.2f} %"
                f"  chinchilla {errors['chinchilla']:6.2f} %"
                f"  ratio {ratio:5.2f}  best {min(errors.values()):5.2f} %"
                f"  leader {leader} {found.weights[leader]:.0%}, {seconds:.1f} s",
                flush=True,
            )
    logs = np.log(list(ratios.values()))
    worst = max(ratios, key=lambda key: ratios[key])
    print(
        f"{len(logs)} splits: geometric mean of the ratio {np.exp(logs.mean()):.3f}, "
        f"worst {ratios[worst]:.2f} ({', '.join(worst)})"
    )


if __name__ == "__main__":
    main()
