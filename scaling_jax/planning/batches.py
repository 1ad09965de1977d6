"""A program for one scenario, at every scenario of a batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from scaling_jax.planning.functions import Traced


def over_batches(
    function: Callable[..., Any], *trees: Any, chunk: int | None = None
) -> Any:
    """Return function(*trees) for trees whose leaves are arrays of broadcastable shapes.

    Only leaves that are arrays are mapped, axis by axis, so that a number that all scenarios
    share is computed with once. What a plain function closes over is never mapped. An axis
    longer than `chunk` is gone through in chunks.
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
        long = [
            mapped and x.shape[0] == size for x, mapped in zip(leaves, outer, strict=True)
        ]
        if chunk is not None and size > chunk and not _is_sharded(squeezed):
            batch = [x for x, mapped in zip(squeezed, long, strict=True) if mapped]

            def part(batch: list[Any]) -> Any:
                rest = iter(batch)
                pairs = zip(squeezed, long, strict=True)
                return at([next(rest) if mapped else x for x, mapped in pairs])

            return jax.lax.map(part, batch, batch_size=chunk)
        return jax.vmap(at, in_axes=([0 if x else None for x in long],))(squeezed)

    return at(leaves)


def _is_sharded(leaves: list[Any]) -> bool:
    """Return whether any array is spread over a mesh of explicit axes: none may be cut."""
    meshes = [jax.typeof(x).sharding.mesh for x in leaves if not isinstance(x, Traced)]
    return any(AxisType.Explicit in mesh.axis_types for mesh in meshes)
