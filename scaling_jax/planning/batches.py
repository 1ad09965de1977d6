"""A program for one scenario, at every scenario of a batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax.planning.functions import Traced


def over_batches(function: Callable[..., Any], *trees: Any) -> Any:
    """Return function(*trees) for trees whose leaves are arrays of broadcastable shapes.

    Only leaves that are arrays are mapped, axis by axis, so that a number that all scenarios
    share is computed with once. What a plain function closes over is never mapped.
    """
    leaves, structure = jax.tree.flatten(trees, is_leaf=lambda x: isinstance(x, Traced))

    def at(leaves: list[Any]) -> Any:
        arrays = [x for x in leaves if not isinstance(x, Traced)]
        ndim = max((jnp.ndim(x) for x in arrays), default=0)
        if ndim == 0:
            return function(*jax.tree.unflatten(structure, leaves))
        outer = [not isinstance(x, Traced) and jnp.ndim(x) == ndim for x in leaves]
        sizes = {x.shape[0] for x, mapped in zip(leaves, outer, strict=True) if mapped}
        size = max(sizes - {1}, default=1)
        if sizes - {1, size}:
            shapes = sorted({jnp.shape(x) for x in arrays if jnp.ndim(x)})
            raise ValueError(f"the inputs have shapes {shapes}, which do not broadcast")
        squeezed = [
            x[0] if mapped and x.shape[0] != size else x
            for x, mapped in zip(leaves, outer, strict=True)
        ]
        axes = [
            0 if mapped and x.shape[0] == size else None
            for x, mapped in zip(leaves, outer, strict=True)
        ]
        return jax.vmap(at, in_axes=(axes,))(squeezed)

    return at(leaves)
