"""Public tables of training runs, by name: fetched from their source, checked, and cached.

    from scaling_jax import runs
    runs.load("sardana2024")            # as Runs
    runs.table("parscale")              # every column, where it is not one of losses by tokens
    runs.PUBLIC["sardana2024"].licence  # source, checksums, paper, what is counted

Nothing public is part of the package. Files come from the commit at which they were read, and
one of another SHA-256 is refused; they stay in the user's cache. `SCALING_JAX_DATA` names a
folder with the tables as CSV files, `NAME.csv`, to read instead: then nothing is fetched.
"""

import os
from pathlib import Path

from scaling_jax._errors import Refusal
from scaling_jax.runs.reading import read_runs
from scaling_jax.runs.record import Runs
from scaling_jax.runs.registry.entries import PUBLIC as PUBLIC
from scaling_jax.runs.registry.entries import Entry as Entry
from scaling_jax.runs.registry.fetching import Progress, fetch
from scaling_jax.runs.registry.parsing import Columns, columns
from scaling_jax.runs.registry.parsing import write_table as write_table
from scaling_jax.runs.tables import read_table

FOLDER = "SCALING_JAX_DATA"


def load(name: str, *, progress: Progress | None = None) -> Runs:
    """Return the runs of a public table.

    Args:
        name: one of `PUBLIC`.
        progress: is called with how many files are there, and of how many.

    Raises:
        ValueError: no table has the name, it is not one of runs, or a fetched file is not
            the one that is known.
        ConnectionError: a file cannot be fetched.
        ModuleNotFoundError: pooch, of the extra `data`, is not installed.

    Example:
        >>> PUBLIC["sardana2024"].licence
        'Apache-2.0'
    """
    entry = _entry(name)
    if entry.lacks:
        raise Refusal(
            f"{name} cannot be read as runs: {entry.lacks}; `runs.table({name!r})` has "
            "its columns"
        )
    return read_runs(table(name, progress=progress))


def table(name: str, *, progress: Progress | None = None) -> Columns:
    """Return every column of a public table, under its names, as `load` reads it.

    Whole numbers are integers, other numbers floats (NaN is missing), the rest is text.
    """
    entry = _entry(name)
    if folder := os.environ.get(FOLDER):
        given = read_table(_given(Path(folder), name))
        return columns([dict(zip(given.names, row, strict=True)) for row in given.rows])
    return columns(entry.read(fetch(entry.urls, progress)))


def _entry(name: str) -> Entry:
    if name not in PUBLIC:
        raise Refusal(f"no public table is called {name!r}; there are {', '.join(PUBLIC)}")
    return PUBLIC[name]


def _given(folder: Path, name: str) -> Path:
    """Return the file of a table in a folder of them."""
    for place in (folder, folder / "axes"):
        for file in (f"{name}.csv", f"{name}_runs.csv"):
            if (place / file).is_file():
                return place / file
    raise Refusal(f"{FOLDER} is {str(folder)!r}, which has no {name}.csv")
