"""Text to ids and back: bytes, or a byte-pair encoding trained on the corpus itself.

Id 0 stands between documents in both. It is the character NUL, which text does not contain
(documents are stripped of it), so no document can forge a boundary.
"""

import heapq
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer as _Library

SEPARATOR = 0  # the id between documents
NUL = "\0"  # its text

_BYTES = 256
_MOST = 2**24  # ids of a byte-pair encoding: the trainer counts pairs of them in memory
_FILE = "tokenizer.json"
_SAMPLE = 2**25  # characters that a byte-pair encoding is trained on, at most


class Tokenizer(Protocol):
    """Turns text without NUL into ids in [1, vocab_size) and back."""

    @property
    def name(self) -> str:
        """How it is asked for: `bytes`, `bpe:8192`."""
        ...

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        ...

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, in the smallest unsigned type that holds them."""
        ...

    def decode(self, ids: np.ndarray) -> str:
        """Return the text of ids; a character that they cut in two becomes U+FFFD."""
        ...

    def state(self) -> str:
        """Return what tells this tokeniser from every other, as text."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load` needs, if anything, into a folder."""
        ...


class Bytes:
    """UTF-8: one id per byte.

    Example:
        >>> Bytes().encode(["né"])
        [array([110, 195, 169], dtype=uint8)]
        >>> Bytes().decode(Bytes().encode(["né"])[0])
        'né'
    """

    name = "bytes"
    vocab_size = _BYTES

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), np.uint8) for text in texts]

    def decode(self, ids: np.ndarray) -> str:
        return np.asarray(ids).astype(np.uint8).tobytes().decode(errors="replace")

    def state(self) -> str:
        return self.name

    def save(self, folder: Path) -> None:
        del folder


class Bpe:
    """A byte-level byte-pair encoding; merges never cross from one word into the next."""

    def __init__(self, library: "_Library") -> None:
        """Wrap a tokeniser of the library `tokenizers` whose id 0 is NUL."""
        self._library = library
        self.vocab_size = library.get_vocab_size()
        self.name = f"bpe:{self.vocab_size}"
        self._dtype = smallest_dtype(self.vocab_size)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        encoded = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, self._dtype) for each in encoded]

    def decode(self, ids: np.ndarray) -> str:
        return self._library.decode(np.asarray(ids).tolist(), skip_special_tokens=False)

    def state(self) -> str:
        return self._library.to_str(pretty=True)

    def save(self, folder: Path) -> None:
        (folder / _FILE).write_text(self.state(), encoding="utf-8")


def check_name(name: str) -> None:
    """Raise ValueError unless a name asks for a tokeniser that can be made."""
    kind, _, size = name.partition(":")
    if name == Bytes.name:
        return
    if kind != "bpe" or not size.isdecimal() or size != str(int(size)):
        raise ValueError(
            f"the tokenizer is {name!r}; it must be 'bytes' or 'bpe:' and a number of ids, "
            f"such as 'bpe:8192'"
        )
    if int(size) <= _BYTES + 1:
        raise ValueError(
            f"the tokenizer is {name!r}; it must have more than {_BYTES + 1} ids: one per "
            f"byte, the separator, and merges"
        )
    if int(size) > _MOST:
        raise ValueError(f"the tokenizer is {name!r}; it must have at most {_MOST:,} ids")


def train(name: str, documents: Iterable[tuple[bytes, str]]) -> Tokenizer:
    """Make the tokeniser of a name, learning from documents where it learns.

    A byte-pair encoding learns from at most 32 Mi characters: the documents with the
    smallest digests, a fair sample that does not depend on their order.

    Args:
        name: `bytes`, or `bpe:` and the number of ids.
        documents: pairs of a digest and a text; looked at once, and not at all for bytes.

    Raises:
        ValueError: the name is none, or the documents hold too little for that many ids.
        ImportError: a byte-pair encoding is asked for and `tokenizers` is not installed.
    """
    check_name(name)
    if name == Bytes.name:
        return Bytes()
    library = _library()
    size = int(name.partition(":")[2])
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[NUL],
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(documents), trainer)
    if tokenizer.get_vocab_size() < size:
        raise ValueError(
            f"the corpus has words for {tokenizer.get_vocab_size()} ids only; "
            f"the tokenizer is {name!r} and must have no more"
        )
    return Bpe(tokenizer)


def load(name: str, folder: Path) -> Tokenizer:
    """Read the tokeniser of a name from the folder that it was saved to.

    Raises:
        ValueError: the file is missing or holds another tokeniser.
        ImportError: the tokeniser is a byte-pair encoding and `tokenizers` is not installed.
    """
    check_name(name)
    if name == Bytes.name:
        return Bytes()
    path = folder / _FILE
    try:
        tokenizer = Bpe(_library().Tokenizer.from_str(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; it must hold the tokenizer {name!r}") from None
    except ImportError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"{path} is no tokenizer: {error}") from None
    if tokenizer.name != name:
        raise ValueError(f"{path} holds the tokenizer {tokenizer.name!r}; it must be {name!r}")
    return tokenizer


def smallest_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest unsigned type that holds ids below a vocabulary size.

    Example:
        >>> [smallest_dtype(size).name for size in (256, 257, 65_537)]
        ['uint8', 'uint16', 'uint32']
    """
    return np.min_scalar_type(vocab_size - 1)


def _sample(documents: Iterable[tuple[bytes, str]]) -> list[str]:
    # A heap with the largest digest on top, which goes first when the sample is full. The
    # digest's head decides train or held-out; its tail is independent of that.
    heap: list[tuple[int, str]] = []
    room = _SAMPLE
    for digest, text in documents:
        heapq.heappush(heap, (-int.from_bytes(digest[8:]), text))
        room -= len(text)
        while room < 0 and len(heap) > 1:
            room += len(heapq.heappop(heap)[1])
    return [text for _, text in sorted(heap)]


def _library():
    try:
        import tokenizers  # noqa: PLC0415  # optional
        import tokenizers.decoders  # noqa: PLC0415
        import tokenizers.models  # noqa: PLC0415
        import tokenizers.pre_tokenizers  # noqa: PLC0415
        import tokenizers.trainers  # noqa: PLC0415
    except ImportError:
        raise ImportError(
            "a byte-pair encoding needs the library tokenizers: "
            "pip install 'scaling-jax[train]'"
        ) from None
    return tokenizers
