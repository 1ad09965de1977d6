"""A corpus: the ids of many documents in two memory-mapped files, one of them held out.

    manifest.json    source, counts, tokeniser, fingerprint
    tokens.bin       ids to train on, documents ended by the separator
    heldout.bin      ids of the documents that are never trained on

A document is on one side or the other by its content alone, so it stays there whatever the
order, the tokeniser or the rest of the corpus, and no copy of it is on the other side.
"""

import dataclasses
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.training import tokenizing
from scaling_jax.training.documents import STDLIB, check_source
from scaling_jax.training.staging import staged
from scaling_jax.training.tokenizing import Tokenizer
from scaling_jax.training.writing import (
    FORMAT,
    IDS,
    MANIFEST,
    SIDES,
    fingerprint,
    write_ids,
    write_text,
)

_USUAL = {"tokenizer": "bytes", "heldout": 0.01}  # as `prepare` has it, unless asked
_READY = (".npy", ".bin")
_DTYPES = ("uint8", "uint16", "uint32")  # what `smallest_dtype` gives
_FIELDS = {
    "source": str,
    "tokenizer": str,
    "heldout": int | float,
    "documents": int,
    "tokens": int,
    "heldout_tokens": int,
    "vocab_size": int,
    "dtype": str,
    "fingerprint": str,
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A prepared corpus, opened; nothing of it is in memory until it is read.

    Attributes:
        folder: where it is.
        tokens: the ids to train on, [tokens], memory-mapped.
        heldout: the ids that are held out, [heldout_tokens], memory-mapped.
        manifest: what is known of it: `source`, `tokenizer`, `heldout` (the share asked for),
            `documents` (of both sides), `heldout_documents`, `duplicates` (dropped),
            `skipped` (files that are no text), `text_bytes`, `tokens`, `heldout_tokens`,
            `vocab_size`, `dtype`, `fingerprint`, `versions`.
    """

    folder: Path
    tokens: np.ndarray
    heldout: np.ndarray
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Corpus":
        """Open a prepared corpus.

        Raises:
            ValueError: there is none, its manifest is damaged, or a file of ids has another
                size than the manifest says.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder)
        tokens, heldout = (_map(folder, manifest, side) for side in SIDES)
        return cls(folder=folder, tokens=tokens, heldout=heldout, manifest=manifest)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id that can occur."""
        return self.manifest["vocab_size"]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the ids of both sides and of the tokeniser."""
        return self.manifest["fingerprint"]

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """What turns its ids back into text; ValueError where the corpus came as ids."""
        if self.manifest["tokenizer"] == IDS:
            raise ValueError(f"{self.folder} was prepared from ids; their text is not known")
        return tokenizing.load(self.manifest["tokenizer"], self.folder)

    def verify(self) -> None:
        """Read every id again; raise ValueError where the fingerprint is another."""
        sides = []
        for name in SIDES.values():
            with (self.folder / name).open("rb") as file:
                sides.append(hashlib.file_digest(file, "sha256").hexdigest())
        tokenizer = self.manifest["tokenizer"]
        state = IDS if tokenizer == IDS else self.tokenizer.state()
        found = fingerprint(sides, state)
        if found != self.fingerprint:
            raise ValueError(
                f"{self.folder} is damaged: its fingerprint is {found[:16]}; it must be "
                f"{self.fingerprint[:16]}"
            )


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    tokenizer: str = "bytes",
    heldout: float = 0.01,
    dtype: str | None = None,
) -> Corpus:
    """Turn a source into a corpus, once; where `out` holds it already, open it.

    Documents that occur twice are kept once. A source that has changed since is not looked at
    again: remove `out` to prepare it anew. Memory holds a few documents and about 100 bytes
    per distinct document. Several processes may prepare the same `out`; a kill leaves none.

    Args:
        source: a file or folder of text, a `.jsonl` file with a field `text`, a data set saved
            by `datasets`, the word `stdlib` (the Python sources of this interpreter and its
            packages), a `.npy` or `.bin` file of ids, or a prepared corpus, which is opened
            where it is, unless it is asked to have another tokeniser or share held out.
        out: the folder that is made.
        tokenizer: `bytes`, or `bpe:8192` for a byte-pair encoding of so many ids, trained on
            the training side; of no meaning for ids.
        heldout: the share of documents to hold out, in [0, 1).
        dtype: the type of the ids in a `.bin` file, such as `uint16`.

    Raises:
        ValueError: an argument is wrong, the source is missing or has no text, nothing is
            held out, or `out` holds something else.
        ImportError: an optional library is needed and missing.
        OSError: the disk is full; nothing is left behind.
    """
    source, out = os.fspath(source), Path(out)
    if (Path(source) / MANIFEST).is_file() and (Path(source) / SIDES["tokens"]).is_file():
        asked = {"tokenizer": tokenizer, "heldout": heldout}
        asked = {name: value for name, value in asked.items() if value != _USUAL[name]}
        return _same(Corpus.open(source), asked)
    ready = Path(source).suffix.lower() in _READY
    settings = {
        "source": source if source == STDLIB else str(Path(source).resolve()),
        "tokenizer": IDS if ready else tokenizer,
        "heldout": heldout,
    }
    # Looked at before its manifest: another process may end now, and its folder appears whole.
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (out / MANIFEST).is_file():
            raise ValueError(
                f"{out} holds something else; a corpus must have a folder of its own"
            )
        return _same(Corpus.open(out), settings)
    if not 0 <= heldout < 1:
        raise ValueError(f"heldout is {heldout}; it must be a share in [0, 1)")
    tokenizing.check_name(tokenizer)
    check_source(source)
    with staged(out) as stage:
        if ready:
            write_ids(Path(source), dtype, stage, settings)
        else:
            write_text(source, stage, settings)
    return _same(Corpus.open(out), settings)


def _same(corpus: Corpus, settings: dict[str, Any]) -> Corpus:
    for name, value in settings.items():
        if corpus.manifest[name] != value:
            raise ValueError(
                f"{corpus.folder} was prepared with {name} {corpus.manifest[name]!r}, not "
                f"{value!r}; take another folder, or remove this one"
            )
    return corpus


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"no prepared corpus is at {str(folder)!r}; it must be a folder that `prepare` made"
        )
    anew = f"remove the folder {folder} and prepare the corpus anew"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; {anew}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is no manifest of format {FORMAT}; {anew}")
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise ValueError(f"{path} is damaged: {name} is {manifest.get(name)!r}; {anew}")
    if manifest["dtype"] not in _DTYPES:
        raise ValueError(f"{path} is damaged: dtype is {manifest['dtype']!r}; {anew}")
    return manifest


def _map(folder: Path, manifest: dict[str, Any], side: str) -> np.ndarray:
    path, dtype = folder / SIDES[side], np.dtype(manifest["dtype"])
    size = path.stat().st_size if path.is_file() else 0
    if size != manifest[side] * dtype.itemsize:
        raise ValueError(
            f"{path} has {size} bytes; the manifest says {manifest[side]} ids of {dtype.name}, "
            f"{manifest[side] * dtype.itemsize} bytes; remove the folder and prepare the "
            f"corpus anew"
        )
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, "r") if size else np.empty(0, dtype)
