"""What a table of runs means: its columns by any name in use, each value checked.

    params, tokens, loss                 one row per finished run
    weight, sigma, group                 optional
    any others                           kept: axes of laws, scores, labels

`weight` multiplies a run's part in a fit, `sigma` is the known standard error of its loss,
and runs with the same `group` (a seed, a sweep, a schedule) are not independent.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling_jax.runs.record import Runs
from scaling_jax.runs.tables import Table, check_doubled, read_table

# Column names in use, letters and digits only, in lower case.
_NAMES = {
    "params": "params",
    "parameters": "params",
    "modelsize": "params",
    "nparams": "params",
    "n": "params",
    "tokens": "tokens",
    "trainingtokens": "tokens",
    "ntokens": "tokens",
    "d": "tokens",
    "loss": "loss",
    "smoothedloss": "loss",
    "trainflops": "train_flops",
    "trainingflop": "train_flops",
    "trainingflops": "train_flops",
    "flops": "train_flops",
    "weight": "weight",
    "sigma": "sigma",
    "group": "group",
}
_LABEL = "modelsize"
_POSITIVE = "a positive number"
_KINDS = {"weight": "a number of zero or more"}


def read_runs(source: str | os.PathLike[str] | Mapping[str, Any] | Any) -> Runs:
    """Read training runs from a file, a data frame or a mapping of columns.

    The columns are `params`, `tokens`, `loss` and, optionally, `weight`, `sigma`, `group`;
    the names that published data use (`Parameters`, `Model Size`, `Smoothed Loss`,
    `Training FLOP` …) are understood too, in any case. Without tokens, tokens are
    train_flops / (6 params). Every other column is kept under its own name: as numbers, NaN
    where one is missing, or, where any value is something else, as text.

    Args:
        source: the path of a `.csv`, `.jsonl` or `.parquet` file (the last needs pyarrow),
            or a dict, pandas or polars frame of columns; `Runs` are returned as they are.

    Raises:
        ValueError: a column is missing or doubled, or a value of those above is missing, no
            number, or not positive; the sentence names file, row (as in the file: a header
            is row 1), column and value.

    Example:
        >>> runs = read_runs({"Model Size": [1e8], "Training FLOP": [1.2e18], "loss": [3.6],
        ...                   "mmlu": [0.25], "corpus": ["c4"]})
        >>> runs.tokens, runs["mmlu"], runs["corpus"]
        (array([2.e+09]), array([0.25]), array(['c4'], dtype='<U2'))
    """
    return source if isinstance(source, Runs) else _runs(read_table(source))


def _runs(table: Table) -> Runs:
    check_doubled(table.source, table.names)
    known = _known_columns(table)
    wanted = ["params", "tokens" if "tokens" in known else "train_flops", "loss"]
    for name in wanted:
        if name not in known:
            missing = "tokens (nor train_flops)" if name == "train_flops" else name
            raise Refusal(
                f"{table.source} has no column {missing}; its columns are "
                f"{', '.join(table.names) or 'none'}{_separator(table.names)}"
            )
    if not table.rows:
        raise Refusal(f"{table.source} has no runs; it must have one row per run")
    wanted += [name for name in ("weight", "sigma") if name in known]
    columns = {name: np.array(list(_numbers(table, known[name], name))) for name in wanted}
    if "tokens" not in columns:
        per_token = TRAIN_FLOPS_PER_PARAM_TOKEN * columns["params"]
        columns["tokens"] = columns["train_flops"] / per_token
    if "group" in known:
        columns["group"] = np.array(list(_labels(table, known["group"])))
    meanings = {index: name for name, index in known.items()}
    for index, name in enumerate(table.names):
        own = meanings.get(index, name)
        if own and own not in columns:
            columns[own] = _further([row[index] for row in table.rows])
    return Runs(**columns)


def _further(cells: Sequence[Any]) -> np.ndarray:
    """Return a further column: numbers, or text where any value is not one."""
    try:
        return np.array([math.nan if _is_missing(cell) else _number(cell) for cell in cells])
    except (TypeError, ValueError, OverflowError):
        return np.array(["" if _is_missing(cell) else str(cell).strip() for cell in cells])


def _number(cell: Any) -> float:
    if isinstance(cell, bool):
        raise ValueError(f"{cell} is a word, not a number")
    return float(cell)


def _known_columns(table: Table) -> dict[str, int]:
    known: dict[str, int] = {}
    for index, name in enumerate(table.names):
        word = re.sub(r"[^a-z0-9]", "", name.lower())
        # Beside params, a model size is a label: 430 for 443,068,288.
        meaning = None if word == _LABEL and "params" in table.names else _NAMES.get(word)
        if meaning in known:
            raise Refusal(
                f"{table.source} has two columns of {meaning}: "
                f"{table.names[known[meaning]]!r} and {name!r}"
            )
        if meaning is not None:
            known[meaning] = index
    return known


def _numbers(table: Table, column: int, name: str) -> Iterator[float]:
    words = _KINDS.get(name, _POSITIVE)
    for row, number in zip(table.rows, table.numbers, strict=True):
        cell = row[column]
        where = _where(table, number, column)
        if _is_missing(cell):
            raise Refusal(f"{where}: the value is missing; it must be {words}")
        try:
            value = _number(cell)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not (0 < value < math.inf or (value == 0 and name in _KINDS)):
            hint = " without commas" if "," in str(cell) else ""
            said = f"{cell!r}"[:40]
            raise Refusal(f"{where}: the value is {said}; it must be {words}{hint}")
        yield value


def _labels(table: Table, column: int) -> Iterator[str]:
    for row, number in zip(table.rows, table.numbers, strict=True):
        cell = row[column]
        if _is_missing(cell) or (isinstance(cell, float) and math.isnan(cell)):
            raise Refusal(
                f"{_where(table, number, column)}: the value is missing; it must be a label, "
                "for a run that depends on no other one of its own"
            )
        yield str(cell).strip()


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _where(table: Table, number: int, column: int) -> str:
    return f"{table.source}, row {number}, column {table.names[column]}"


def _separator(names: Sequence[str]) -> str:
    """Return a hint where the only name looks like several."""
    found = [mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]]
    return (
        f", which is one: values are separated by commas, not by {found[0]!r}" if found else ""
    )
