"""The formats that a table of runs comes in: CSV, JSON lines, Parquet, columns."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from scaling_jax._errors import Refusal


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
        raise Refusal(f"no file of runs is called {str(path)!r}")
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
            raise Refusal(f"{path} is not a CSV file: {error}") from None
    if not rows:
        raise Refusal(f"{path} is empty; it must have a header and one row per run")
    names = [name.strip() for name in rows[0]]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            raise Refusal(
                f"{path}, row {number} has {len(row)} values; the header names {len(names)}"
            )
    return Table(str(path), names, rows[1:], numbers[1:])


def _from_json_lines(path: Path) -> Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not a JSON file: {error}") from None
    records, numbers = [], []
    for number, record in _json_rows(path, text):
        if not isinstance(record, dict):
            said = f"{record!r}"[:40]
            raise Refusal(f"{path}, row {number} is {said}; it must be an object")
        records.append(record)
        numbers.append(number)
    if not records:
        raise Refusal(f"{path} is empty; it must have one JSON object per run")
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name) for name in names] for record in records]
    return Table(str(path), names, rows, numbers)


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each row: of JSON lines, or of one array."""
    if text.lstrip().startswith("["):
        yield from enumerate(_json(path, 1, text), 1)
        return
    # Only "\n" ends a line: a string may hold what Python takes for further ends of lines.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json(path, number, line)


def _json(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refusal(f"{path}, row {number} is not JSON: {error}") from None


def _from_parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet  # noqa: PLC0415  # optional and heavy
    except ImportError:
        raise Refusal(f"{path} is a Parquet file; reading it needs pyarrow") from None
    return _from_columns(str(path), parquet.read_table(path).to_pydict())


def _from_columns(source: str, table: Any) -> Table:
    keys = table.columns if hasattr(table, "columns") else table
    if not (hasattr(table, "columns") or isinstance(table, Mapping)):
        raise Refusal(
            f"runs are read from a path, a data frame or a mapping of columns, not from "
            f"{type(table).__name__}"
        )
    names = [str(key) for key in keys]
    check_doubled(source, names)
    columns = {str(key): _cells(source, key, table[key]) for key in keys}
    for name in names:
        if len(columns[name]) != len(columns[names[0]]):
            raise Refusal(
                f"{source}: column {name} has {len(columns[name])} rows and "
                f"{names[0]} has {len(columns[names[0]])}; they must be as many"
            )
    rows = list(zip(*columns.values(), strict=True))
    return Table(source, names, rows, range(1, len(rows) + 1))


def _cells(source: str, key: Any, column: Any) -> list[Any]:
    if isinstance(column, Tracer):
        raise Refusal(
            f"{source}: column {key} is traced by JAX; a table holds numbers, and `refit` is "
            "what can be differentiated and mapped"
        )
    cells = np.asarray(column).tolist()
    if not isinstance(cells, list):
        raise Refusal(f"{source}: column {key} is {cells!r}; it must be one value per run")
    return cells


def check_doubled(source: str, names: Iterable[str]) -> None:
    """Raise a ValueError if two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen and name:
            raise Refusal(f"{source}: the header has two columns called {name!r}")
        seen.add(name)
