"""The formats that a table of runs comes in: CSV, JSON lines, Parquet, columns."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Table(NamedTuple):
    """Named columns of cells, not yet understood, and where each row stands."""

    source: str
    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numbers: Sequence[int]


def read_table(source: Any) -> Table:
    """Return the table of a path, a frame or a mapping of columns."""
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


def _from_csv(path: Path) -> Table:
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
    return Table(str(path), names, rows[1:], numbers[1:])


def _from_json_lines(path: Path) -> Table:
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
    return Table(str(path), names, rows, numbers)


def _from_parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet  # noqa: PLC0415  # optional and heavy
    except ImportError:
        raise ValueError(f"{path} is a Parquet file; reading it needs pyarrow") from None
    return _from_columns(str(path), parquet.read_table(path).to_pydict())


def _from_columns(source: str, table: Any) -> Table:
    try:
        names = [str(name) for name in getattr(table, "columns", table)]
        check_doubled(source, names)
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
    return Table(source, names, rows, range(1, len(rows) + 1))


def check_doubled(source: str, names: Iterable[str]) -> None:
    """Raise a ValueError if two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen and name:
            raise ValueError(f"{source}: the header has two columns called {name!r}")
        seen.add(name)
