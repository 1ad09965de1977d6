"""Which windows a step is made of."""

import numpy as np
import pytest

from scaling_jax.training import loading
from scaling_jax.training.corpus import Corpus, prepare
from scaling_jax.training.loading import batches, check_epochs, heldout_windows

pytest.importorskip("grain")

LENGTH = 8
WINDOWS = 101  # a prime: no batch size divides an epoch


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Ids that count up, so that a window's first id tells which window it is."""
    folder = tmp_path_factory.mktemp("loading")
    np.save(folder / "ids.npy", np.arange(WINDOWS * LENGTH + 3))
    return prepare(folder / "ids.npy", folder / "corpus", heldout=0)


def windows_of(batch: np.ndarray) -> list[int]:
    return (batch[..., 0] // LENGTH).ravel().tolist()


def test_a_window_is_consecutive_tokens_and_the_target_that_follows(corpus):
    batch = batches(corpus, length=LENGTH, batch=4, seed=0)[3]
    assert batch.shape == (4, LENGTH + 1)
    assert batch.dtype == np.int32
    np.testing.assert_array_equal(batch - batch[:, :1], np.tile(np.arange(LENGTH + 1), (4, 1)))
    assert set(batch[:, 0] % LENGTH) == {0}


def test_each_epoch_has_every_window_once_in_an_order_of_its_own(corpus):
    loader = batches(corpus, length=LENGTH, batch=6, seed=3)
    seen = windows_of(loader.chunk(0, WINDOWS // 2 + 1))  # three epochs
    epochs = [seen[start : start + WINDOWS] for start in range(0, 3 * WINDOWS, WINDOWS)]
    assert all(sorted(epoch) == list(range(WINDOWS)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != sorted(epochs[2])


def test_seeds_and_epochs_do_not_share_an_order(corpus):
    def epoch(seed: int, number: int) -> list[int]:
        return windows_of(batches(corpus, length=LENGTH, batch=WINDOWS, seed=seed)[number])

    orders = {tuple(epoch(seed, number)) for seed in range(5) for number in range(5)}
    assert len(orders) == 25


@pytest.mark.parametrize("process_count", [2, 3])
def test_the_processes_together_have_the_batch_of_one(corpus, process_count):
    whole = batches(corpus, length=LENGTH, batch=6, seed=1)
    parts = [
        batches(
            corpus,
            length=LENGTH,
            batch=6,
            seed=1,
            process_index=index,
            process_count=process_count,
        )
        for index in range(process_count)
    ]
    for step in (0, 7, WINDOWS):
        together = np.concatenate([part[step] for part in parts])
        np.testing.assert_array_equal(together, whole[step])


@pytest.mark.parametrize("start", [0, 5, 17])
def test_chunks_resume_at_a_step(corpus, start):
    loader = batches(corpus, length=LENGTH, batch=6, seed=1)
    chunks = list(loader.chunks(4, start=start, stop=30))
    assert [len(chunk) for chunk in chunks[:-1]] == [4] * (len(chunks) - 1)
    expected = np.stack([loader[step] for step in range(start, 30)])
    np.testing.assert_array_equal(np.concatenate(chunks), expected)


def test_chunks_may_be_left_early(corpus):
    chunks = batches(corpus, length=LENGTH, batch=2, seed=0).chunks(2, stop=100)
    assert next(chunks).shape == (2, 2, LENGTH + 1)
    chunks.close()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 1000])
def test_the_shuffle_is_a_permutation(size):
    for seed in range(10):
        shuffled = loading._shuffled(np.arange(size), size, seed, 0)
        np.testing.assert_array_equal(np.sort(shuffled), np.arange(size))


def test_the_shuffle_spreads_evenly_and_leaves_no_neighbours():
    # Of 4,000 in a million, in 20 bins: chi-squared with 19 degrees of freedom; 43.8 is the
    # 0.1 % level. The seeds are fixed, so this passes always or never.
    for seed in range(5):
        places = loading._shuffled(np.arange(4000), 10**6, seed, 0)
        for values in (places, np.diff(places) % 10**6):
            counts = np.bincount(values * 20 // 10**6, minlength=20)
            assert (((counts - 200) ** 2) / 200).sum() < 43.8


def test_epochs_are_counted_and_more_than_one_is_refused(corpus):
    offered = WINDOWS * LENGTH
    assert loading.available(corpus, LENGTH) == offered
    assert check_epochs(corpus, length=LENGTH, batch=1, steps=WINDOWS) == 1
    with pytest.raises(
        ValueError, match=rf"needs {2 * offered:,} tokens .* offers {offered:,}"
    ):
        check_epochs(corpus, length=LENGTH, batch=2, steps=WINDOWS)
    assert check_epochs(corpus, length=LENGTH, batch=2, steps=WINDOWS, repeats=True) == 2
    with pytest.raises(ValueError, match="offers 0 in one epoch"):
        check_epochs(corpus, length=10**6, batch=1, steps=1, repeats=True)


def test_held_out_windows_are_spread_and_fixed(tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(2**16))
    corpus = prepare(tmp_path / "ids.npy", tmp_path / "corpus", heldout=0.6)
    held = heldout_windows(corpus, length=128, tokens=20 * 128 + 5)
    again = heldout_windows(corpus, length=128, tokens=20 * 128 + 5)
    np.testing.assert_array_equal(held, again)
    assert held.shape == (20, 129)
    assert np.isin(held[..., :-1], np.asarray(corpus.heldout)).all()
    starts = np.searchsorted(corpus.heldout, held[..., 0].ravel())
    gaps = np.diff(starts)
    assert gaps.max() - gaps.min() <= 128
    assert starts[-1] + gaps.max() + 128 >= len(corpus.heldout)
    whole = heldout_windows(corpus, length=128, tokens=10**9)
    assert len(whole) == (len(corpus.heldout) - 1) // 128


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"length": 10**6}, "a window of 1000000 must have 1000001"),
        ({"process_count": 4}, "batch is 6; it must be a multiple of 4"),
        ({"process_count": 2, "process_index": 2}, r"must be in \[0, 2\)"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_named(corpus, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        batches(corpus, **{"length": LENGTH, "batch": 6, "seed": 0, **change})


def test_a_held_out_side_too_small_is_named(corpus):
    with pytest.raises(ValueError, match="held-out side of the corpus has 0 tokens"):
        heldout_windows(corpus, length=LENGTH, tokens=100)
