"""`grid`: a function at every point of the product of named axes, in bounded memory."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scaling_jax.grids.axes import read_axes
from scaling_jax.grids.program import Program, compiled, fingerprint, layout
from scaling_jax.grids.result import Grid
from scaling_jax.grids.store import Store
from scaling_jax.grids.units import units_of

Progress = Callable[[int, int], None]


def grid(
    f: Callable[..., Any],
    axes: Mapping[str, Any],
    *,
    units: Mapping[str, str] | None = None,
    memory: int = 2**30,
    mesh: Mesh | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Grid:
    """Evaluate f(x, y, …) at every (x, y, …) of the product of the axes.

    The product is flattened, the last axis running fastest, and cut into chunks that all go
    through one compiled program. Values are the same, bit for bit, whatever the chunks, the
    devices and the limit on memory.

    Args:
        f: takes one scalar (or record of scalars) per axis, by the axis's name, and returns
            a scalar, or a record, dict or other pytree of scalars. It must work inside
            `jax.jit`; `plan` with a status in place of an exception does.
        axes: name -> array [n], a range as `axis` reads it, a list of numbers or of records
            (laws, say), or a record stacked [n].
        units: axis or value -> the unit that labels it; names of the vocabulary, such as
            loss or total_flops, have theirs without.
        memory: the bytes that chunks and, without `out`, the result may take.
        mesh: devices of this process that share each chunk; its axes may be of any type. (On
            several virtual devices of one CPU jaxlib 0.10 hangs in batches of
            `jnp.linalg.solve` and its like; `plan` does without.)
        out: a folder to stream the values into, as a Zarr store that xarray opens. A call
            that was killed goes on where it was when it is repeated. Where JAX runs in
            several processes they share the work, on a file system that all of them see.
        progress: called as progress(points done, points in all) after every chunk.

    Returns:
        A `Grid`; its values are NumPy arrays or, with `out`, Zarr arrays on disk. They are
        called by dotted paths into what f returns, a bare scalar `value`; what has the name
        of an axis too comes after `value.`, so that the `loss` of a plan, NaN where there is
        none, stands beside the axis `loss` as `value.loss`.

    Raises:
        ValueError: an axis, f or a unit is not as described, the result needs more than
            `memory`, or `out` holds something else.

    Example:
        >>> from scaling_jax import Demand, Flops, laws, plan
        >>> def saving(loss, tokens):
        ...     return plan(laws.HOFFMANN_2022, Flops(), Demand(output_tokens=tokens),
        ...                 loss=loss).saving
        >>> savings = grid(saving, {"loss": [1.9, 2.0], "tokens": "1e11:1e13:3:log"})
        >>> savings["value"].shape, f"{savings.sel(loss=2.0, tokens=1e12)['value']:.4f}"
        ((2, 3), '0.0459')
    """
    ready = read_axes(axes)
    dtypes = layout(f, ready)
    counted = units_of([*ready.coordinates, *dtypes], units or {})
    if out is not None:
        program = compiled(f, ready, mesh, memory // 2)
        store = Store(out, ready, dtypes, fingerprint(f, ready), memory // 2, counted)
        _stream(program, store, progress)
        return Grid(axes=ready.coordinates, values=store.values, units=counted)
    if jax.process_count() > 1:
        raise ValueError("several processes share a grid through a store: give out")
    needed = ready.size * sum(dtype.itemsize for dtype in dtypes.values())
    if needed > memory:
        raise ValueError(
            f"the result takes {needed:,} bytes and memory is {memory:,}; raise it, return "
            "fewer values, or give out to stream to disk"
        )
    program = compiled(f, ready, mesh, memory - needed)
    flat = {name: np.empty(ready.size, dtype) for name, dtype in dtypes.items()}
    _fill(program, 0, flat, lambda done: progress and progress(done, ready.size))
    shaped = {name: values.reshape(ready.shape) for name, values in flat.items()}
    return Grid(axes=ready.coordinates, values=shaped, units=counted)


def _fill(
    program: Program, start: int, flat: dict[str, np.ndarray], report: Callable[[int], Any]
) -> None:
    """Write the values at the points from `start` on into the arrays, chunk by chunk."""
    size = len(next(iter(flat.values())))
    pending = program.run(start)
    for at in range(0, size, program.length):
        ready, after = pending, at + program.length
        if after < size:  # computed while the chunk before it is copied
            pending = program.run(start + after)
        stop = min(after, size)
        for name, values in ready.items():
            flat[name][at:stop] = np.asarray(values).reshape(-1)[: stop - at]
        report(stop)


def _stream(program: Program, store: Store, progress: Progress | None) -> None:
    before, blocks = store.done, store.mine()
    points = before + sum(block.size for block in blocks)
    for block in blocks:
        flat = {name: np.empty(block.size, dtype) for name, dtype in store.dtypes.items()}

        def report(count: int, before: int = before) -> None:
            if progress is not None:
                progress(before + count, points)

        _fill(program, block.start, flat, report)
        store.write(block, flat)
        before += block.size
    store.complete()
