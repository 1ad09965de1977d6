"""Raw files as rows, and rows as columns. Nothing that a raw file holds is ever executed."""

import ast
import csv
import gzip
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax._files import write_whole

Row = dict[str, Any]
Columns = dict[str, np.ndarray]


def csv_rows(path: Path) -> list[Row]:
    """Return the rows of a CSV file, gzipped or not; every cell is text."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        text = file.read().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True))


def json_rows(path: Path) -> list[Row]:
    """Return the objects of a file of JSON lines."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def read_json(path: Path) -> Any:
    """Return what one JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def literals(path: Path) -> dict[str, Any]:
    """Return the names to which a Python file assigns a literal: it is parsed, never run."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:  # an expression, of which nothing is taken
                continue
    return found


def renamed(row: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    """Return the cells of a row that `names` maps from a new name to an old one."""
    return {new: row[old] for new, old in names.items()}


def columns(rows: Sequence[Row]) -> Columns:
    """Return rows as columns: of whole numbers, of numbers (NaN is missing), or of text.

    Example:
        >>> columns([{"params": "100", "loss": "3.5", "note": ""}])["params"]
        array([100])
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _column([row.get(name) for row in rows]) for name in names}


def write_table(table: Columns, path: str | os.PathLike[str]) -> None:
    """Write columns as a CSV file, in full precision; what is missing is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    cells = [_written(column.tolist()) for column in table.values()]
    writer.writerows(zip(*cells, strict=True))
    write_whole(Path(path), text.getvalue())


def _written(cells: list[Any]) -> list[Any]:
    return ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]


def _column(cells: Iterable[Any]) -> np.ndarray:
    words = ["" if cell is None else str(cell).strip() for cell in cells]
    if any(words):
        for kind in (int, float):  # what is missing is no whole number
            try:
                return np.array([kind(word or "nan") for word in words], kind)
            except (ValueError, OverflowError):
                continue
    return np.array(words, str)
