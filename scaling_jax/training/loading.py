"""Batches of windows of a corpus: in random access, shuffled, the same on every machine.

    window i = tokens[i L : i L + L + 1]       inputs [:-1], targets [1:]

Windows share no target, so each token is a target at most once per epoch. Which windows make
a step is a function of seed and step alone: resuming needs no state but the step.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from scaling_jax.training.corpus import Corpus

_ROUNDS = 4
_PREFETCH = 2  # chunks made ahead by a thread


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Batches:
    """The batches of a run, without end: after each epoch the windows are shuffled anew.

    Attributes:
        windows: the windows of one epoch, [windows, length + 1], a view of the corpus.
        batch: windows per step, of all processes together.
        seed: of the shuffle.
        rows: which of a step's windows are this process's.
    """

    windows: np.ndarray
    batch: int
    seed: int
    rows: slice

    def __getitem__(self, step: int) -> np.ndarray:
        """Return the batch of a step, int32 [batch / process_count, length + 1]."""
        return self.chunk(step, 1)[0]

    def chunk(self, start: int, size: int) -> np.ndarray:
        """Return those of `size` steps, int32 [size, batch / process_count, length + 1]."""
        steps = np.arange(start, start + size, dtype=np.int64)[:, None]
        rows = np.arange(self.batch, dtype=np.int64)[self.rows]
        epoch, index = np.divmod(steps * self.batch + rows, len(self.windows))
        chosen = np.empty_like(index)
        for each in range(int(epoch[0, 0]), int(epoch[-1, -1]) + 1):
            here = epoch == each
            chosen[here] = _shuffled(index[here], len(self.windows), self.seed, each)
        return self.windows[chosen].astype(np.int32)

    def chunks(self, size: int, *, start: int = 0, stop: int) -> Iterator[np.ndarray]:
        """Yield the batches of the steps in [start, stop), `size` steps at a time.

        They are made ahead, in a thread of Grain. The last has the steps that are left.

        Yields:
            int32 [size, batch / process_count, length + 1].
        """
        import grain  # noqa: PLC0415  # optional, and it takes a second

        # One record of Grain is a whole chunk. Grain spends 20 to 50 us per record that it
        # hands over and 3 us per index that it shuffles; a step of a tiny model takes 1 ms on
        # the same cores. So the shuffle is a permutation in NumPy, stateless as Grain's is,
        # over all indices of a chunk at once, and a chunk is one gather.
        source = grain.MapDataset.source(_Chunks(self, size, start, stop))
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCH)
        iterator = iter(source.to_iter_dataset(options))
        try:
            yield from iterator
        finally:
            iterator.close()


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """The chunks of a range of steps, as a source that Grain reads from."""

    batches: Batches
    size: int
    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, -(-(self.stop - self.start) // self.size))

    def __getitem__(self, index: int) -> np.ndarray:
        start = self.start + index * self.size
        return self.batches.chunk(start, min(self.size, self.stop - start))


def batches(
    corpus: Corpus,
    *,
    length: int,
    batch: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Return the batches of a run, or one process's part of them.

    The parts of all processes, in their order, are the batch of a single process.

    Args:
        corpus: what is trained on.
        length: targets per window.
        batch: windows per step, of all processes together.
        seed: zero or more; of the shuffle.
        process_index: which process this is.
        process_count: of how many; it must divide `batch`.

    Raises:
        ValueError: an argument is out of its range, or the corpus has no window.
    """
    _check_positive(length=length, batch=batch, process_count=process_count)
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be zero or more")
    if batch % process_count:
        raise ValueError(
            f"batch is {batch}; it must be a multiple of {process_count} processes"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index is {process_index}; it must be in [0, {process_count})"
        )
    each = batch // process_count
    rows = slice(process_index * each, (process_index + 1) * each)
    windows = _windows(corpus.tokens, length, "the corpus")
    return Batches(windows=windows, batch=batch, seed=seed, rows=rows)


def available(corpus: Corpus, length: int) -> int:
    """Return the tokens that one epoch offers as targets, in windows of a length."""
    _check_positive(length=length)
    return max(0, (len(corpus.tokens) - 1) // length) * length


def check_epochs(
    corpus: Corpus, *, length: int, batch: int, steps: int, repeats: bool = False
) -> float:
    """Return how many epochs a run takes.

    epochs = steps batch length / available

    Raises:
        ValueError: it is more than one and repeats are not allowed.
    """
    _check_positive(length=length, batch=batch, steps=steps)
    needed, offered = steps * batch * length, available(corpus, length)
    if needed > offered and (not repeats or not offered):
        raise ValueError(
            f"the run needs {needed:,} tokens and the corpus offers {offered:,} in one epoch; "
            f"train on fewer, take a larger corpus, or allow repeats"
        )
    return needed / offered


def check_heldout(corpus: Corpus, length: int) -> None:
    """Raise ValueError where the held-out side has no window of a length."""
    _heldout_windows(corpus, length)


def heldout_windows(corpus: Corpus, *, length: int, tokens: int) -> np.ndarray:
    """Return held-out windows, evenly spread and the same for every run.

    Args:
        corpus: whose held-out side is read.
        length: targets per window.
        tokens: targets in all, at most; rounded down to whole windows, of which there is one
            at least.

    Returns:
        int32 [windows, length + 1], in memory.

    Raises:
        ValueError: the held-out side has no window.
    """
    _check_positive(length=length, tokens=tokens)
    windows = _heldout_windows(corpus, length)
    count = min(max(1, tokens // length), len(windows))
    return windows[np.arange(count) * len(windows) // count].astype(np.int32)


def _heldout_windows(corpus: Corpus, length: int) -> np.ndarray:
    return _windows(corpus.heldout, length, "the held-out side of the corpus")


def _windows(tokens: np.ndarray, length: int, name: str) -> np.ndarray:
    """Return all windows, [windows, length + 1], as a view: a gather of rows copies bytes."""
    if len(tokens) <= length:
        raise ValueError(
            f"{name} has {len(tokens)} tokens; a window of {length} must have {length + 1}"
        )
    plain = np.asarray(tokens)  # np.memmap costs microseconds at each indexing
    return np.lib.stride_tricks.sliding_window_view(plain, length + 1)[::length]


def _shuffled(index: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """Return where indices stand in a permutation of range(size), without making all of it.

    Multiplying by an odd number, adding, and folding high bits on low ones are permutations
    of the numbers of `bits` bits. What falls outside range(size) is put through again until
    it falls inside, which keeps it a permutation and takes less than two turns on average.
    """
    bits = max(1, (size - 1).bit_length())
    mask, fold = np.uint64(2**bits - 1), np.uint64(max(1, bits // 2))
    keys = _keys(seed, epoch)
    result = index.astype(np.uint64)
    outside = np.arange(len(result))
    while len(outside):
        x = result[outside]
        for factor, offset in keys:
            x = (x * (factor | np.uint64(1)) + offset) & mask
            x ^= x >> fold
        result[outside] = x
        outside = outside[x >= size]
    return result.astype(np.int64)


@functools.lru_cache(maxsize=64)
def _keys(seed: int, epoch: int) -> np.ndarray:
    # NumPy promises that SeedSequence, unlike its generators, never gives other numbers.
    keys = np.random.SeedSequence([seed, epoch]).generate_state(2 * _ROUNDS, np.uint64)
    return keys.reshape(_ROUNDS, 2)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be a positive whole number")
