"""One compiled program for every chunk of a grid.

A point's flat index, start + step, is written in the mixed radix of the axes' lengths by a
counter with carries: digits of `start` come from the host, so that 32-bit integers do for a
grid of any size, and the divisors are constants of the program.

A chunk has the shape [rows, LANES] whatever its length. The innermost loop then has the same
trip count in every program, and with it the same vector instructions for every lane: values
do not depend on how many rows a chunk has or how many devices share them.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from scaling_jax.grids.axes import Axes

LANES = 1024
# 65,536 points: arrays that stay in the cache of a core beat those that do not.
_ROWS = 64


class Program(NamedTuple):
    """A compiled chunk: `run(start)` returns the values at `length` points, by name."""

    run: Callable[[int], dict[str, jax.Array]]
    length: int
    bytes: int


def layout(f: Callable[..., Any], axes: Axes) -> dict[str, np.dtype]:
    """Return the name and the dtype of every value that f returns.

    Names are dotted paths into what f returns; a bare scalar is called `value`, and so is what
    has the name of an axis: the `loss` of a plan beside an axis `loss` is `value.loss`.

    Raises:
        ValueError: f returns something that is not a scalar, or two values of one name; the
            sentence names it.
    """
    one = jax.tree.map(lambda stack: stack[0], axes.points)
    leaves = _named(jax.eval_shape(lambda: f(**one)), axes)
    if not leaves:
        raise ValueError("f returns nothing; it must return a scalar or a record of scalars")
    found = {}
    for name, leaf in leaves:
        if leaf.shape:
            raise ValueError(f"{name} has shape {leaf.shape}; f must return scalars")
        if name in found:
            raise ValueError(f"two values are called {name!r}; rename one")
        found[name] = np.dtype(leaf.dtype)
    return found


def compiled(f: Callable[..., Any], axes: Axes, mesh: Mesh | None, room: int) -> Program:
    """Compile the chunk, with as many rows as fit into `room` bytes, up to some.

    Raises:
        ValueError: even the smallest chunk does not fit.
    """
    shares = 1 if mesh is None else mesh.size
    wanted = math.ceil(axes.size / LANES / shares)
    rows = shares * min(wanted, _ROWS)
    while True:
        program = _compile(f, axes, mesh, rows)
        if program.bytes <= room:
            return program
        if rows == shares:
            raise ValueError(
                f"memory is too small: a chunk of {program.length} points takes "
                f"{program.bytes:,} bytes, and {max(room, 0):,} are left"
            )
        rows = shares * max(1, int(rows / shares * min(room / program.bytes, 0.5)))


def fingerprint(f: Callable[..., Any], axes: Axes) -> str:
    """Return a digest of what is computed: of the program, constants included, and the axes."""
    text = _traced(f, axes, None, 1).as_text()
    digest = hashlib.sha256(text.encode())
    for path, leaf in jax.tree.leaves_with_path(axes.points):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _compile(f: Callable[..., Any], axes: Axes, mesh: Mesh | None, rows: int) -> Program:
    chunk = _traced(f, axes, mesh, rows).compile()
    shares = 1 if mesh is None else mesh.size
    steps = _steps(mesh, rows)
    memory = chunk.memory_analysis()
    # Two chunks are held at once: one is computed while the other is copied out.
    each = memory.temp_size_in_bytes + 2 * memory.output_size_in_bytes

    def run(start: int) -> dict[str, jax.Array]:
        digits = np.array(np.unravel_index(start, axes.shape), np.int32)
        return chunk(axes.points, digits, steps)

    return Program(run, rows * LANES, shares * each)


def _traced(f: Callable[..., Any], axes: Axes, mesh: Mesh | None, rows: int) -> Any:
    chunk = _chunk(f, axes)
    if mesh is not None:
        share = PartitionSpec(mesh.axis_names)
        whole = PartitionSpec()
        # What a device computes is the program of one device, on its share of the rows.
        chunk = jax.shard_map(
            chunk, mesh=mesh, in_specs=(whole, whole, share), out_specs=share, check_vma=False
        )
    start = np.zeros(len(axes.shape), np.int32)
    return jax.jit(chunk).lower(axes.points, start, _steps(mesh, rows))


def _steps(mesh: Mesh | None, rows: int) -> jax.Array:
    steps = jnp.arange(rows, dtype=jnp.int32) * LANES
    if mesh is None:
        return steps
    return jax.device_put(steps, jax.NamedSharding(mesh, PartitionSpec(mesh.axis_names)))


def _chunk(f: Callable[..., Any], axes: Axes) -> Callable[..., dict[str, jax.Array]]:
    # Python's own order of the names: dicts that pass through `jax.jit` come out sorted.
    lengths = list(zip(axes.coordinates, axes.shape, strict=True))

    def values(points: dict[str, Any]) -> dict[str, jax.Array]:
        return {name: jnp.asarray(leaf) for name, leaf in _named(f(**points), axes)}

    def chunk(
        points: dict[str, Any], start: jax.Array, steps: jax.Array
    ) -> dict[str, jax.Array]:
        carry = steps[:, None] + jnp.arange(LANES, dtype=jnp.int32)[None, :]
        here = {}
        for first, (name, length) in reversed(list(zip(start, lengths, strict=True))):
            total, size = first + carry, jnp.int32(length)
            carry, digit = jax.lax.div(total, size), jax.lax.rem(total, size)
            here[name] = jax.tree.map(lambda stack, at=digit: stack[at], points[name])
        return jax.vmap(jax.vmap(values))(here)

    return chunk


def _named(tree: Any, axes: Axes) -> list[tuple[str, Any]]:
    """Return (name, leaf) of each leaf; no name is that of an axis, which labels it."""
    leaves = jax.tree.leaves_with_path(tree)
    paths = [(jax.tree_util.keystr(p, simple=True, separator="."), leaf) for p, leaf in leaves]
    named = [(path or "value", leaf) for path, leaf in paths]
    taken = axes.coordinates
    return [(f"value.{name}" if name in taken else name, leaf) for name, leaf in named]
