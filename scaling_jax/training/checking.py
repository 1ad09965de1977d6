"""What a run needs of its corpus, looked at before its first step."""

from scaling_jax.training.config import RunConfig
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.loading import check_epochs, check_heldout


def check_run(config: RunConfig, corpus: Corpus) -> None:
    """Raise ValueError where a run cannot be made from a corpus.

    It may have ids beyond the vocabulary, too few tokens, or a held-out side without a window.
    """
    if config.shape.vocab_size < corpus.vocab_size:
        raise ValueError(
            f"vocab_size is {config.shape.vocab_size}; the corpus has ids up to "
            f"{corpus.vocab_size - 1}, so it must be at least {corpus.vocab_size}"
        )
    check_heldout(corpus, config.length)
    check_epochs(
        corpus, length=config.length, batch=config.batch, steps=config.steps,
        repeats=config.repeats,
    )  # fmt: skip
