"""The held-out loss of a model: over which windows, and the mean over them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from scaling_jax.training.config import RunConfig
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.loading import heldout_windows
from scaling_jax.training.model import Params, next_token_loss

_TOKENS_PER_DEVICE = 4096  # of one part


def window_losses(graph: Any, params: Params, windows_WxT1: jax.Array) -> jax.Array:
    """Return the loss of each window."""
    each = jax.vmap(lambda params, w: next_token_loss(graph, params, w[None]), (None, 0))
    return each(params, windows_WxT1)


def heldout_loss(
    config: RunConfig, corpus: Corpus, losses: Callable[[np.ndarray], Any], devices: int
) -> tuple[np.ndarray, int]:
    """Return the mean loss over a run's held-out windows, and their tokens.

    Which windows they are does not depend on the devices: what is left over of the last part
    is filled up and not counted.

    Args:
        config: of the run.
        corpus: whose held-out side is read.
        losses: of windows [windows, length + 1], on the last axis of what it returns.
        devices: which share its work.
    """
    windows = heldout_windows(corpus, length=config.length, tokens=config.heldout_tokens)
    rows = devices * max(1, _TOKENS_PER_DEVICE // config.length)
    parts = [
        np.asarray(losses(padded(windows[start : start + rows], rows)), np.float64)
        for start in range(0, len(windows), rows)
    ]
    each = np.concatenate(parts, axis=-1)[..., : len(windows)]
    return each.mean(axis=-1), windows.size - len(windows)


def padded(windows: np.ndarray, size: int) -> np.ndarray:
    """Return the windows with as many of zeros behind them as make `size`."""
    missing = ((0, size - len(windows)), *((0, 0),) * (windows.ndim - 1))
    return np.pad(windows, missing) if len(windows) < size else windows
