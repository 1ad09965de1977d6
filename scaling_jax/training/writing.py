"""How a corpus is written: in one pass, each document to its side, the manifest last."""

import contextlib
import hashlib
import json
import math
import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.training import tokenizing
from scaling_jax.training.documents import documents
from scaling_jax.training.tokenizing import NUL, SEPARATOR, smallest_dtype

FORMAT = 1
MANIFEST = "manifest.json"
SIDES = {"tokens": "tokens.bin", "heldout_tokens": "heldout.bin"}
IDS = "ids"  # the tokeniser of a corpus that came as ids

_BLOCK = 2**14  # ids that count as a document where documents are not known
_BATCH = 2**22  # characters tokenised at a time
_SCAN = 2**24  # ids looked at at a time
_TALLIED = ("duplicates", "skipped", "text_bytes")


def write_text(source: str, folder: Path, settings: dict[str, Any]) -> None:
    """Write the corpus of a source of text into a folder.

    Args:
        source: as `documents` takes it.
        folder: empty.
        settings: `source`, `tokenizer` and `heldout`, for the manifest.

    Raises:
        ValueError: there is no text, or a side is empty.
    """
    share, tally = settings["heldout"], Counter[str]()
    learned_from = (
        (digest, text)
        for digest, text in _distinct(source, Counter())
        if not _is_heldout(digest, share)
    )
    tokenizer = tokenizing.train(settings["tokenizer"], learned_from)
    dtype = smallest_dtype(tokenizer.vocab_size)
    separator = np.array([SEPARATOR], dtype)
    with _Writer(folder, share) as writer:
        for batch in _batches(_distinct(source, tally)):
            encoded = tokenizer.encode([text for _, text in batch])
            for (digest, _), ids in zip(batch, encoded, strict=True):
                writer.add(digest, ids, separator)
    tokenizer.save(folder)
    writer.check(tally)
    counts = {**writer.counts(), **{name: tally[name] for name in _TALLIED}}
    _write_manifest(folder, settings, counts, tokenizer.vocab_size, writer, tokenizer.state())


def write_ids(path: Path, dtype: str | None, folder: Path, settings: dict[str, Any]) -> None:
    """Write the corpus of a file of ids, where blocks of 16,384 ids count as documents.

    Args:
        path: a `.npy` or `.bin` file.
        dtype: the type of the ids in a `.bin` file.
        folder: empty.
        settings: `source`, `tokenizer` and `heldout`, for the manifest.

    Raises:
        ValueError: the file holds no ids, or a side would be empty.
    """
    ids = _map_ids(path, dtype)
    spans = [ids[start : start + _SCAN] for start in range(0, len(ids), _SCAN)]
    low, high = min(int(span.min()) for span in spans), max(int(span.max()) for span in spans)
    if low < 0 or high >= 2**31:
        raise ValueError(f"{path} has ids from {low} to {high}; they must be in [0, 2**31)")
    tally = Counter[str]()
    seen: set[bytes] = set()
    with _Writer(folder, settings["heldout"]) as writer:
        for start in range(0, len(ids), _BLOCK):
            block = ids[start : start + _BLOCK].astype(smallest_dtype(high + 1))
            digest = _digest(block.astype(np.uint32).tobytes())
            if _is_new(digest, seen, tally):
                writer.add(digest, block)
    writer.check(tally)
    counts = {**writer.counts(), "duplicates": tally["duplicates"]}
    _write_manifest(folder, settings, counts, high + 1, writer, IDS)


def fingerprint(sides: Iterable[str], state: str) -> str:
    """Return the fingerprint of a corpus: SHA-256 over those of its sides and its tokeniser."""
    tokenizer = hashlib.sha256(state.encode()).hexdigest()
    return hashlib.sha256("\n".join([*sides, tokenizer]).encode()).hexdigest()


class _Writer:
    """The two files of ids: each document goes to its side, and is counted and hashed there."""

    def __init__(self, folder: Path, share: float) -> None:
        self._share = share
        self._stack = contextlib.ExitStack()  # closes both, even where one has no room
        self._files = [
            self._stack.enter_context((folder / name).open("wb", 2**20))
            for name in SIDES.values()
        ]
        self._hashes = [hashlib.sha256() for _ in SIDES]
        self._documents = [0, 0]
        self._tokens = [0, 0]
        self._lowest = 1.0
        self.dtype = np.dtype(np.uint8)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, digest: bytes, *ids: np.ndarray) -> None:
        side = int(_is_heldout(digest, self._share))
        self._lowest = min(self._lowest, _fraction(digest))
        self._documents[side] += 1
        for each in ids:
            self.dtype = each.dtype
            self._tokens[side] += len(each)
            self._hashes[side].update(each.data)
            self._files[side].write(each.data)

    def check(self, tally: Counter[str]) -> None:
        """Raise ValueError where a side is empty that must not be."""
        total = sum(self._documents)
        if not total:
            raise ValueError(
                f"the corpus is empty: it has no document with text, and {tally['skipped']} "
                f"files were skipped that are binary or not UTF-8"
            )
        if not self._documents[1] and self._share:
            least = math.ceil(self._lowest * 1000) / 1000
            words = f"at least {least}, or 0 to hold out none" if total > 1 else "0"
            raise ValueError(
                f"heldout is {self._share} and none of {total} documents is held out; "
                f"it must be {words}"
            )
        if not self._documents[0]:
            raise ValueError(
                f"heldout is {self._share} and all of {total} documents are held out; "
                f"it must be smaller"
            )

    def counts(self) -> dict[str, int]:
        names = dict(zip(SIDES, self._tokens, strict=True))
        return {
            "documents": sum(self._documents),
            "heldout_documents": self._documents[1],
            **names,
        }

    def fingerprint(self, state: str) -> str:
        return fingerprint([each.hexdigest() for each in self._hashes], state)


def _write_manifest(
    folder: Path,
    settings: dict[str, Any],
    counts: dict[str, int],
    vocab_size: int,
    writer: _Writer,
    state: str,
) -> None:
    libraries = ["numpy", *(["tokenizers"] if settings["tokenizer"].startswith("bpe") else [])]
    manifest = {
        "format": FORMAT,
        **settings,
        **counts,
        "vocab_size": vocab_size,
        "dtype": writer.dtype.name,
        "fingerprint": writer.fingerprint(state),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in libraries},
        },
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def _distinct(source: str, tally: Counter[str]) -> Iterator[tuple[bytes, str]]:
    """Yield digest and text of each document that has text, the first of equals only."""
    seen: set[bytes] = set()
    for document in documents(source, tally):
        text = document.replace(NUL, "")
        if not text or text.isspace():
            continue
        content = text.encode(errors="replace")  # JSON may hold half a surrogate pair
        digest = _digest(content)
        if _is_new(digest, seen, tally):
            tally["text_bytes"] += len(content)
            yield digest, content.decode()


def _is_new(digest: bytes, seen: set[bytes], tally: Counter[str]) -> bool:
    if digest in seen:
        tally["duplicates"] += 1
        return False
    seen.add(digest)
    return True


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _fraction(digest: bytes) -> float:
    return int.from_bytes(digest[:8]) / 2**64


def _is_heldout(digest: bytes, share: float) -> bool:
    return _fraction(digest) < share


def _batches(texts: Iterator[tuple[bytes, str]]) -> Iterator[list[tuple[bytes, str]]]:
    batch, size = [], 0
    for digest, text in texts:
        batch.append((digest, text))
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _map_ids(path: Path, dtype: str | None) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        try:
            ids = np.load(path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} is no NumPy file of ids: {error}") from None
    else:
        ids = _map_raw(path, dtype)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ids.size:
        raise ValueError(
            f"{path} holds {ids.dtype.name} of shape {ids.shape}; it must hold integers in one "
            f"dimension"
        )
    return ids


def _map_raw(path: Path, dtype: str | None) -> np.ndarray:
    try:
        kind = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        kind = None
    if kind is None or kind.kind not in "iu":
        raise ValueError(f"dtype is {dtype!r}; for {path} it must be such as 'uint16'")
    size = path.stat().st_size
    if not size or size % kind.itemsize:
        raise ValueError(
            f"{path} has {size} bytes; it must have a positive multiple of {kind.itemsize}, "
            f"the size of {kind.name}"
        )
    return np.memmap(path, kind, "r")
