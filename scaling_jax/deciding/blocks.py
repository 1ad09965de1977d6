"""Work on many samples in blocks of one size, so that programs are compiled once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_LARGEST, _SMALLEST = 2**14, 2**6


def block_size(count: int) -> int:
    """Return the size of the blocks in which up to so many samples are worked on."""
    return int(2 ** np.ceil(np.log2(np.clip(count, _SMALLEST, _LARGEST))))


def split(tree: Any, size: int) -> list[Any]:
    """Return blocks of a tree of leaves [n], on the device; the last is filled up."""
    count = len(jax.tree.leaves(tree)[0])

    def block(leaf: Any, start: int) -> jax.Array:
        part = np.asarray(leaf[start : start + size])
        fill = np.repeat(part[-1:], size - len(part), axis=0)
        return jnp.asarray(np.concatenate([part, fill]))

    return [
        jax.tree.map(lambda leaf, start=start: block(leaf, start), tree)
        for start in range(0, count, size)
    ]


def joined(blocks: list[Any], count: int) -> Any:
    """Return the first n of what came of blocks, on the host."""
    return jax.tree.map(lambda *each: np.concatenate(each)[:count], *blocks)


def in_blocks(function: Callable[[Any], Any], tree: Any, size: int) -> Any:
    """Return what a function of a tree of leaves [n] gives, on the host."""
    count = len(jax.tree.leaves(tree)[0])
    return joined([function(block) for block in split(tree, size)], count)
