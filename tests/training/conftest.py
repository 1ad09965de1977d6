"""A small corpus of real text, and one finished run on it, shared by the training tests."""

import asyncio
import os

import pytest

from scaling_jax.shapes import TransformerShape
from scaling_jax.training import RunConfig, prepare, train

SHAPE = TransformerShape(
    d_model=16, layers=1, heads=4, kv_heads=1, d_ff=64, vocab_size=256
)  # fmt: skip
CONFIG = RunConfig(shape=SHAPE, tokens=64 * 4 * 600, length=64, batch=4, heldout_tokens=2**14)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The sources of asyncio: text that every interpreter has."""
    folder = tmp_path_factory.mktemp("corpus")
    return prepare(os.path.dirname(asyncio.__file__), folder / "ids", heldout=0.1)


@pytest.fixture(scope="session")
def finished(corpus, tmp_path_factory):
    """A run that nothing interrupted: its record and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return train(CONFIG, corpus, folder), folder
