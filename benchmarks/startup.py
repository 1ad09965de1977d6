"""Cold starts: importing the package, `--help`, and one plan.

Run: python benchmarks/startup.py
"""

import subprocess
import sys
import time

import numpy as np

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import jax": ["-c", "import jax"],
    "import scaling_jax, every room": [
        "-c",
        "import scaling_jax as sj; sj.plan, sj.laws, sj.Flops, sj.Status",
    ],
    "scaling-jax --help": ["-m", "scaling_jax.cli", "--help"],
    "scaling-jax plan": [
        *("-m scaling_jax.cli plan --loss 1.947 --inference-tokens 2e12".split()),
    ],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(9):  # in turn, so that a slow spell of the machine hits all alike
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    median = {name: float(np.median(runs)) for name, runs in times.items()}
    for name, value in median.items():
        print(f"{name:32s} {value:6.2f} s")
    added = median["import scaling_jax, every room"] - median["import jax"]
    print(f"scaling_jax adds to import jax:  {added:6.2f} s")


if __name__ == "__main__":
    main()
