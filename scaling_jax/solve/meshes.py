"""Computing the same whatever mesh the caller is in.

On a mesh with Explicit axes, the default of `jax.make_mesh`, JAX types an array by the axes
over which it is split. A new constant beside it, a look-up by a computed index or a line search
of Optax is then refused, though each number of a batch is computed by itself. Here those types
are put aside for one call, as on a mesh with Auto axes, and its results have them again.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType


def on_any_mesh(f: Callable[..., Any], *args: Any) -> Any:
    """Return f(*args), for an elementwise f of pytrees of arrays that broadcast.

    Each result of the shape of the batch is split as the arguments are. Derivatives pass.
    """
    leaves = [x for x in jax.tree.leaves(args) if isinstance(x, jax.Array)]
    meshes = [jax.typeof(x).sharding.mesh for x in leaves]
    explicit = [mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types]
    if not explicit:
        return f(*args)
    shape, spec = _batch(leaves)
    with untyped():
        likes = jax.eval_shape(f, *jax.tree.map(_untyped, args))
    specs = jax.tree.map(lambda x: spec if x.shape == shape else jax.P(), likes)
    kinds = zip(explicit[0].axis_names, explicit[0].axis_types, strict=True)
    typed = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
    # Arrays bring their mesh; in `jax.set_mesh` or `jax.shard_map` the caller is in one.
    outside = jax.sharding.get_abstract_mesh().empty
    with jax.sharding.use_abstract_mesh(explicit[0]) if outside else contextlib.nullcontext():
        return jax.sharding.auto_axes(f, axes=typed, out_sharding=specs)(*args)


def _untyped(x: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, jax.Array) else x


def _batch(leaves: list[jax.Array]) -> tuple[tuple[int, ...], jax.P]:
    """Return the shape that the arrays broadcast to, and over which axes it is split."""
    shape = jnp.broadcast_shapes(*(x.shape for x in leaves))
    split: list[Any] = [None] * len(shape)
    for x in leaves:
        spec = jax.typeof(x).sharding.spec
        for back, axes in enumerate(reversed(spec), 1):
            if axes is not None and x.shape[-back] == shape[-back]:
                split[-back] = axes
    return shape, jax.P(*split)


def untyped() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which arrays are traced without the types of a mesh."""
    if jax.sharding.get_abstract_mesh().manual_axes:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ()))


def vary(x: jax.Array) -> jax.Array:
    """Return x, inside `jax.shard_map` typed as varying over every axis of the mesh there."""
    axes = jax.sharding.get_abstract_mesh().manual_axes
    known = _varying(jax.typeof(x))
    rest = tuple(axis for axis in axes if axis not in known)
    return jax.lax.pcast(x, rest, to="varying") if rest else x


def vary_as(like: Any, x: jax.Array) -> jax.Array:
    """Return x typed, inside `jax.shard_map`, as varying over the axes that `like` does."""
    axes = tuple(_varying(like))
    return jax.lax.pcast(x, axes, to="varying") if axes else x


def _varying(kind: Any) -> frozenset[str]:
    known = getattr(kind, "vma", None)
    return getattr(getattr(kind, "manual_axis_type", None), "varying", known) or frozenset()
