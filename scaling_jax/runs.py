"""A table of training runs: read, check, select, write.

    params, tokens, loss                 one row per finished run
    weight, sigma, group                 optional

`weight` multiplies a run's part in a fit, `sigma` is the known standard error of its loss,
and runs with the same `group` (a seed, a sweep, a schedule) are not independent.
"""

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaling_jax._pytree import Record

_FLOPS_PER_PARAM_TOKEN = 6.0  # Kaplan et al. 2020, section 2.1

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
_POSITIVE = "a positive number"
_KINDS = {"weight": "a number of zero or more"}


class Runs(Record):
    """Finished training runs, as NumPy columns of equal length.

    Example:
        >>> runs = read_runs({"params": [1e8, 1e9], "tokens": [2e9, 2e10], "loss": [3.6, 2.9]})
        >>> len(runs), runs.tokens_per_param.tolist()
        (2, [20.0, 20.0])
    """

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    weight: np.ndarray | None = None
    sigma: np.ndarray | None = None
    group: np.ndarray | None = None

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self.loss)

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D / N of each run."""
        return self.tokens / self.params

    @property
    def train_flops(self) -> np.ndarray:
        """6 N D of each run."""
        return _FLOPS_PER_PARAM_TOKEN * self.params * self.tokens

    def where(self, keep: Any) -> "Runs":
        """Return the runs that a mask or an index array keeps, in its order."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return Runs(**{name: column[keep] for name, column in columns.items()})

    def within(
        self,
        *,
        min_params: float = 0.0,
        max_params: float = math.inf,
        min_tokens: float = 0.0,
        max_tokens: float = math.inf,
        min_tokens_per_param: float = 0.0,
        max_tokens_per_param: float = math.inf,
        min_train_flops: float = 0.0,
        max_train_flops: float = math.inf,
    ) -> np.ndarray:
        """Return which runs are within limits, bounds included.

        A bound is widened by a millionth, so that a ratio of 100 that was written as
        tokens and params, both rounded, still counts as 100.
        """
        limits = {
            "params": (min_params, max_params),
            "tokens": (min_tokens, max_tokens),
            "tokens_per_param": (min_tokens_per_param, max_tokens_per_param),
            "train_flops": (min_train_flops, max_train_flops),
        }
        keep = np.ones(len(self), bool)
        for name, (low, high) in limits.items():
            column = getattr(self, name)
            keep &= (column >= low * (1 - 1e-6)) & (column <= high * (1 + 1e-6))
        return keep

    def select(self, **limits: float) -> "Runs":
        """Return the runs within limits, named as `within` names them.

        Example:
            >>> table = {"params": [1e8, 1e8], "tokens": [2e9, 1e11], "loss": [3.6, 3.1]}
            >>> len(read_runs(table).select(max_tokens_per_param=100))
            1
        """
        return self.where(self.within(**limits))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the runs as CSV, in full precision, as `read_runs` reads it."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(
                zip(*(column.tolist() for column in columns.values()), strict=True)
            )


class _Table(NamedTuple):
    """Named columns of cells, not yet understood, and where each row stands."""

    source: str
    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numbers: Sequence[int]


def read_runs(source: str | os.PathLike[str] | Mapping[str, Any] | Any) -> Runs:
    """Read training runs from a file, a data frame or a mapping of columns.

    The columns are `params`, `tokens`, `loss` and, optionally, `weight`, `sigma`, `group`;
    the names that published data use (`Parameters`, `Model Size`, `Smoothed Loss`,
    `Training FLOP` …) are understood too, in any case. Without tokens, tokens are
    train_flops / (6 params). Other columns are passed over.

    Args:
        source: the path of a `.csv`, `.jsonl` or `.parquet` file (the last needs pyarrow),
            or a dict, pandas or polars frame of columns.

    Raises:
        ValueError: a column is missing or doubled, or a value is missing, no number, or not
            positive; the sentence names file, row (as in the file: a header is row 1),
            column and value.

    Example:
        >>> read_runs({"Model Size": [1e8], "Training FLOP": [1.2e18], "loss": [3.6]}).tokens
        array([2.e+09])
    """
    return _runs(_table(source))


def read_scores(source: str | os.PathLike[str] | Mapping[str, Any] | Any) -> dict[str, Any]:
    """Return what else a table of runs measured: its other columns of numbers, by name.

    A value that is missing is NaN; a column with any other word in it is passed over.

    Example:
        >>> read_scores({"params": [1e8], "tokens": [2e9], "loss": [3.6], "mmlu": [0.25]})
        {'mmlu': array([0.25])}
    """
    table = _table(source)
    own = set(_known_columns(table).values())
    scores = {}
    for index, name in enumerate(table.names):
        cells = [row[index] for row in table.rows]
        try:
            values = [float(cell) if cell not in (None, "") else math.nan for cell in cells]
        except (TypeError, ValueError):
            continue
        if index not in own:
            scores[name] = np.array(values)
    return scores


def _table(source: Any) -> _Table:
    if not isinstance(source, str | os.PathLike):
        return _from_columns("the table", source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"no file of runs is called {str(path)!r}")
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return _from_json_lines(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _from_parquet(path)
    return _from_csv(path)


def _from_csv(path: Path) -> _Table:
    rows, numbers = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append(row)
                    numbers.append(reader.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no CSV file: {error}") from None
    if not rows:
        raise ValueError(f"{path} is empty; it must have a header and one row per run")
    names = [name.strip() for name in rows[0]]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, row {number} has {len(row)} values; the header names {len(names)}"
            )
    return _Table(str(path), names, rows[1:], numbers[1:])


def _from_json_lines(path: Path) -> _Table:
    records, numbers = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, row {number} is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}, row {number} is {line.strip()!r}; it must be an object")
        records.append(record)
        numbers.append(number)
    if not records:
        raise ValueError(f"{path} is empty; it must have one JSON object per run")
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name) for name in names] for record in records]
    return _Table(str(path), names, rows, numbers)


def _from_parquet(path: Path) -> _Table:
    try:
        from pyarrow import parquet  # noqa: PLC0415  # optional and heavy
    except ImportError:
        raise ValueError(f"{path} is a Parquet file; reading it needs pyarrow") from None
    return _from_columns(str(path), parquet.read_table(path).to_pydict())


def _from_columns(source: str, table: Any) -> _Table:
    try:
        names = [str(name) for name in getattr(table, "columns", table)]
        _check_doubled(source, names)
        columns = {name: np.asarray(table[name]).tolist() for name in names}
    except (TypeError, KeyError, IndexError):
        raise ValueError(
            f"runs are read from a path, a data frame or a mapping of columns, not from "
            f"{type(table).__name__}"
        ) from None
    lengths = {
        name: len(column) for name, column in columns.items() if isinstance(column, list)
    }
    for name in names:
        if lengths.get(name) != lengths.get(names[0]):
            raise ValueError(
                f"{source}: column {name} has {lengths.get(name, 'no')} rows and "
                f"{names[0]} has {lengths.get(names[0], 'none')}; they must be as many"
            )
    rows = list(zip(*columns.values(), strict=True))
    return _Table(source, names, rows, range(1, len(rows) + 1))


def _runs(table: _Table) -> Runs:
    _check_doubled(table.source, table.names)
    known = _known_columns(table)
    wanted = ["params", "tokens" if "tokens" in known else "train_flops", "loss"]
    for name in wanted:
        if name not in known:
            missing = "tokens (nor train_flops)" if name == "train_flops" else name
            raise ValueError(
                f"{table.source} has no column {missing}; its columns are "
                f"{', '.join(table.names) or 'none'}"
            )
    if not table.rows:
        raise ValueError(f"{table.source} has no runs; it must have one row per run")
    wanted += [name for name in ("weight", "sigma") if name in known]
    columns = {name: np.array(list(_numbers(table, known[name], name))) for name in wanted}
    if "train_flops" in columns:
        flops = columns.pop("train_flops")
        columns["tokens"] = flops / (_FLOPS_PER_PARAM_TOKEN * columns["params"])
    if "group" in known:
        columns["group"] = np.array([str(row[known["group"]]).strip() for row in table.rows])
    return Runs(**columns)


def _known_columns(table: _Table) -> dict[str, int]:
    known: dict[str, int] = {}
    for index, name in enumerate(table.names):
        meaning = _NAMES.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        if meaning in known:
            raise ValueError(
                f"{table.source} has two columns of {meaning}: "
                f"{table.names[known[meaning]]!r} and {name!r}"
            )
        if meaning is not None:
            known[meaning] = index
    return known


def _check_doubled(source: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen and name:
            raise ValueError(f"{source}: the header has two columns called {name!r}")
        seen.add(name)


def _numbers(table: _Table, column: int, name: str) -> Iterator[float]:
    words = _KINDS.get(name, _POSITIVE)
    for row, number in zip(table.rows, table.numbers, strict=True):
        cell = row[column]
        where = f"{table.source}, row {number}, column {table.names[column]}"
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            raise ValueError(f"{where}: the value is missing; it must be {words}")
        try:
            value = math.nan if isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError):
            value = math.nan
        if not (0 < value < math.inf or (value == 0 and name in _KINDS)):
            raise ValueError(f"{where}: the value is {cell!r}; it must be {words}")
        yield value
