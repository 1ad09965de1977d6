"""Where text comes from: the documents of a file, a folder, a data set or Python itself.

Every walk is sorted, so that the same source gives the same documents in the same order, and
lazy, so that memory holds one document at a time.
"""

import json
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STDLIB = "stdlib"

_JSON_LINES = (".jsonl", ".ndjson")
_DATASET = ("dataset_info.json", "dataset_dict.json")  # what `save_to_disk` leaves in a folder
# A folder's file is one document up to 16 Mi characters. A file alone is a corpus, so it is
# cut finer: documents are what is deduplicated and what is held out.
_FOLDER_PIECE = 2**24
_SINGLE_PIECE = 2**14
_HEAD = 8192  # characters searched for NUL, which no text has
_READ = 2**20  # characters looked at at a time


def check_source(source: str) -> None:
    """Raise ValueError unless a source is there and of a kind that can be read."""
    path = Path(source)
    if source != STDLIB and not path.exists():
        raise ValueError(
            f"no corpus is at {source!r}; it must be a file or folder of text, a .jsonl, .npy "
            f"or .bin file, a data set that `datasets` saved, or the word {STDLIB!r}"
        )


def documents(source: str, tally: Counter[str]) -> Iterator[str]:
    """Yield the documents of a source.

    - `stdlib`: the Python sources of the standard library and the installed packages.
    - a folder: each file, hidden ones excepted, in sorted order.
    - a `.jsonl` file, alone or in a folder: the field `text` of each line.
    - any other file: pieces of about 16 Ki characters that end with a line.
    - a folder that `datasets` saved: the field `text` of each row (of the split `train`, where
      there are several).

    Args:
        source: a path or the word `stdlib`.
        tally: counts in `skipped` the files that are binary or not UTF-8 throughout.

    Raises:
        ValueError: a line of JSON or a data set has no text; the sentence says where.
        ImportError: the source is a data set and `datasets` is not installed.
    """
    path = Path(source)
    if source == STDLIB:
        for each in _python_sources():
            yield from _text(each, _FOLDER_PIECE, tally)
    elif path.is_dir() and any((path / name).is_file() for name in _DATASET):
        yield from _dataset(path)
    elif path.is_dir():
        for each in _files(path):
            lines = each.suffix.lower() in _JSON_LINES
            yield from _json_lines(each) if lines else _text(each, _FOLDER_PIECE, tally)
    elif path.suffix.lower() in _JSON_LINES:
        yield from _json_lines(path)
    else:
        yield from _text(path, _SINGLE_PIECE, tally)


def _files(root: Path, exclude: tuple[str, ...] = ()) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        # A prepared corpus inside its own source is no text.
        prepared = {"manifest.json", "tokens.bin"} <= set(files)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in exclude
        )
        for name in sorted(files):
            path = Path(folder, name)
            if not prepared and not name.startswith(".") and path.is_file():
                yield path


def _python_sources() -> Iterator[Path]:
    roots = dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    for root in roots:
        # Packages are a root of their own, often inside that of the standard library.
        for path in _files(Path(root), exclude=("site-packages", "dist-packages")):
            if path.suffix == ".py":
                yield path


def _text(path: Path, piece: int, tally: Counter[str]) -> Iterator[str]:
    if not _is_text(path):
        tally["skipped"] += 1
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        while text := file.read(piece):
            # A line may be as long as the file: it is cut too, only later.
            yield text if len(text) < piece else text + file.readline(piece)


def _is_text(path: Path) -> bool:
    """Whether a file is UTF-8 to its end: a file is taken whole or not at all."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            is_text = "\0" not in file.read(_HEAD)
            while is_text and file.read(_READ):
                pass
        except UnicodeDecodeError:
            return False
    return is_text


def _json_lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for row, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                raise ValueError(f"{path}, row {row} is no JSON: {error}") from None
            yield _field(record, f"{path}, row {row}")


def _dataset(path: Path) -> Iterator[str]:
    try:
        import datasets  # noqa: PLC0415  # optional
    except ImportError:
        raise ImportError(
            f"{path} is a Hugging Face data set; reading it needs the library datasets: "
            f"pip install 'scaling-jax[huggingface]'"
        ) from None
    loaded = datasets.load_from_disk(str(path))
    if isinstance(loaded, dict):
        if "train" not in loaded:
            raise ValueError(
                f"{path} has the splits {', '.join(map(str, loaded))}; it must have one called "
                f"'train', or be the folder of one split"
            )
        loaded = loaded["train"]
    for row, record in enumerate(loaded.select_columns("text"), 1):
        yield _field(record, f"{path}, row {row}")


def _field(record: Any, where: str) -> str:
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{where} has no text; it must have a field 'text' that is a string")
    return text
