"""A grid on disk: a Zarr store, and while it is incomplete a list of its finished blocks.

A block is a run of whole Zarr chunks, one per value, that is contiguous in the flattened
grid: 1 along the leading axes, a piece of one axis, the whole of those after it. Its number
is appended to the list, a file beside the store, after its values are written, so that what a
kill leaves half-written is written again. Where there are several processes, each has a list
of its own and computes the blocks whose turn it is; the first makes and completes the store.
"""

import glob
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from scaling_jax.grids.axes import Axes

_MAX_BLOCK = 2**20


class Block(NamedTuple):
    """Points of the grid that are written together."""

    number: int
    start: int
    size: int
    region: tuple[slice, ...]


class Store:
    """The values of a grid on disk, block by block."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        axes: Axes,
        dtypes: dict[str, np.dtype],
        fingerprint: str,
        room: int,
        units: dict[str, str],
    ) -> None:
        """Open the store, or make it where there is none; a block takes `room` bytes at most.

        Raises:
            ValueError: the folder holds something else than this very grid.
            ImportError: zarr is not installed.
        """
        self.path, self.axes, self.dtypes = Path(path), axes, dtypes
        self.size = axes.size
        self._list = self.path.with_name(f"{self.path.name}.finished.{jax.process_index()}")
        if jax.process_index() == 0 and not self.path.exists():
            each = sum(dtype.itemsize for dtype in dtypes.values())
            chunk = _block_shape(axes.shape, min(_MAX_BLOCK, room // (2 * each)))
            self._make(fingerprint, chunk, units)
        _wait_for_all("the store is made")
        self._group = group = self._open(fingerprint)
        if jax.process_index() == 0:
            for stray in self.path.rglob("*.partial"):  # what zarr was writing when killed
                stray.unlink()
        _wait_for_all("the store is clean")
        self.values: dict[str, Any] = {name: group[name] for name in dtypes}
        self._chunk = next(iter(self.values.values())).chunks

    @property
    def done(self) -> int:
        """The number of points in finished blocks."""
        return self.size - sum(block.size for block in self.unfinished())

    def unfinished(self) -> list[Block]:
        """Return the blocks that are still to be computed, by all processes together."""
        if self._group.attrs["complete"]:
            return []
        finished = self._finished()
        return [block for block in self._blocks() if block.number not in finished]

    def mine(self) -> list[Block]:
        """Return the blocks that are this process's to compute."""
        turns, turn = jax.process_count(), jax.process_index()
        return [block for block in self.unfinished() if block.number % turns == turn]

    def write(self, block: Block, flat: dict[str, np.ndarray]) -> None:
        """Write the values of a block, and that it is finished."""
        for name, values in flat.items():
            shape = [part.stop - part.start for part in block.region]
            self.values[name][block.region] = values.reshape(shape)
        with self._list.open("a", encoding="ascii") as finished:
            finished.write(f"{block.number}\n")

    def complete(self) -> None:
        """Write that every block is finished; the lists are no longer needed."""
        _wait_for_all("the blocks are finished")
        if jax.process_index() == 0:
            self._group.attrs["complete"] = True
            self._remove_lists()
        _wait_for_all("the store is complete")

    def _blocks(self) -> Iterator[Block]:
        shape, chunk = self.axes.shape, self._chunk
        pieces = [range(0, n, step) for n, step in zip(shape, chunk, strict=True)]
        for number, corner in enumerate(itertools.product(*pieces)):
            stops = [min(a + step, n) for a, step, n in zip(corner, chunk, shape, strict=True)]
            region = tuple(slice(a, b) for a, b in zip(corner, stops, strict=True))
            size = math.prod(part.stop - part.start for part in region)
            yield Block(number, int(np.ravel_multi_index(corner, shape)), size, region)

    def _lists(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.finished.*"))

    def _remove_lists(self) -> None:
        for each in self._lists():
            each.unlink()

    def _finished(self) -> set[int]:
        """Return the numbers in the lists; a last line without its end was torn by a kill."""
        numbers = set()
        for each in self._lists():
            text = each.read_text(encoding="ascii")
            whole = text[: text.rfind("\n") + 1]
            if whole != text and each == self._list:
                each.write_text(whole, encoding="ascii")
            numbers |= {int(line) for line in whole.splitlines()}
        return numbers

    def _open(self, fingerprint: str) -> Any:
        """Return the group of this grid."""
        zarr = _zarr()
        try:
            known = zarr.open_group(self.path, mode="r").attrs.get("fingerprint")
        except (OSError, ValueError):
            known = None
        if known is None:
            raise ValueError(f"{self.path} exists and is no grid; give another out")
        if known != fingerprint:
            raise ValueError(
                f"{self.path} holds another grid: its function or its axes differ; "
                "remove it or give another out"
            )
        return zarr.open_group(self.path, mode="r+")

    def _make(self, fingerprint: str, chunk: tuple[int, ...], units: dict[str, str]) -> None:
        # Made beside its place and moved there, so that a kill leaves all of it or nothing.
        self._remove_lists()  # of a store that was removed since
        begun = self.path.with_name(f"{self.path.name}.begun")
        group = _zarr().open_group(
            begun, mode="w", attributes={"fingerprint": fingerprint, "complete": False}
        )
        names = list(self.axes.coordinates)
        attributes = {name: {"units": unit} for name, unit in units.items()}
        for name, values in self.axes.coordinates.items():
            group.create_array(
                name, data=values, dimension_names=[name], attributes=attributes.get(name)
            )
        for name, dtype in self.dtypes.items():
            group.create_array(
                name,
                shape=self.axes.shape,
                chunks=chunk,
                dtype=dtype,
                fill_value=0,
                dimension_names=names,
                attributes=attributes.get(name),
            )
        begun.rename(self.path)


def _block_shape(shape: tuple[int, ...], points: int) -> tuple[int, ...]:
    """Return the chunk of at most so many points that is contiguous in the flattened grid."""
    chunk, left = [], max(points, 1)
    for length in reversed(shape):
        pieces = math.ceil(length / left)
        chunk.append(math.ceil(length / pieces))
        left = left // length if pieces == 1 else 1
        left = max(left, 1)
    return tuple(reversed(chunk))


def _wait_for_all(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def _zarr() -> Any:
    try:
        import zarr  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ImportError(
            "streaming a grid to disk needs zarr: pip install 'scaling-jax[grid]'"
        ) from error
    return zarr
