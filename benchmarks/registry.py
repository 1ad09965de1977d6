"""Do the readers of the registry make, from the real raw files, exactly the tables given?

    python benchmarks/registry.py [FOLDER]

Fetches every public table (needs a network, or a full cache) and compares it, names, order
and values, with NAME.csv in FOLDER (../shared/data). Largest relative difference of a number,
2026-11-25: 0, but for 2e-16 in the two Gemstones tables, whose given values were rounded.
"""

import os
import sys
from pathlib import Path

import numpy as np

from scaling_jax import runs


def difference(ours: np.ndarray, given: np.ndarray) -> float:
    """Return the largest relative difference of two columns; infinity where words differ."""
    if ours.dtype.kind not in "if" or given.dtype.kind not in "if":
        return 0.0 if np.array_equal(ours, given) else np.inf
    ours, given = ours.astype(float), given.astype(float)
    same = (ours == given) | (np.isnan(ours) & np.isnan(given))
    scale = np.where(same, 1.0, np.abs(given))
    return float(np.max(np.where(same, 0.0, np.abs(ours - given)) / scale))


def main(folder: Path) -> bool:
    """Print a line per table; return whether all agree."""
    good = True
    for name, entry in runs.PUBLIC.items():
        os.environ.pop("SCALING_JAX_DATA", None)
        ours = runs.table(name)
        os.environ["SCALING_JAX_DATA"] = str(folder)
        given = runs.table(name)
        rows = {len(column) for table in (ours, given) for column in table.values()}
        agrees = list(ours) == list(given) and rows == {entry.rows}
        worst = max(difference(ours[key], given[key]) for key in given) if agrees else np.inf
        good &= worst < 3e-16
        print(
            f"{name:26} {len(entry.files):3} files {entry.rows:5} rows {len(ours):3} columns"
            f"  {'differs by ' + format(worst, '.1e') if worst else 'identical'}"
        )
    return good


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared/data"
    sys.exit(not main(Path(argument)))
