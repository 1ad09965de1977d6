"""From 47 training runs to a decision in one command, as a whole process, started cold.

Run: python benchmarks/runs_to_decision.py
"""

import subprocess
import sys
import time
from pathlib import Path

RUNS = Path(__file__).parents[1] / "../shared/data/sardana2024_runs.csv"
COMMAND = (
    f"-m scaling_jax.cli decide --runs {RUNS} --bootstrap 1000 "
    "--demand 1e12 --demand-factor 5 --match-params 2.5e9"
)


def run() -> tuple[float, str]:
    """Return the seconds that the command takes, and what it prints."""
    start = time.perf_counter()
    command = [sys.executable, *COMMAND.split()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


if __name__ == "__main__":
    if not RUNS.exists():
        sys.exit(f"the paper's runs are not here: {RUNS}")
    times, texts = zip(*(run() for _ in range(3)), strict=True)
    print(texts[0])
    print("whole process: " + ", ".join(f"{each:.1f} s" for each in times))
