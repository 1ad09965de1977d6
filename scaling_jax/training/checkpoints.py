"""Checkpoints of a run's state, written by Orbax: atomic, checked, the last two kept."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax.training.step import State

_KEPT = 2


class Checkpoints:
    """The checkpoints in one folder; a context manager that waits for what it writes."""

    def __init__(self, folder: Path) -> None:
        # Orbax is imported here: it is part of an extra, and slow to import.
        from orbax.checkpoint import v1 as ocp  # noqa: PLC0415

        self.folder = folder.absolute()
        self._failed = False
        newest = ocp.training.preservation_policies.LatestN(_KEPT)
        with _quiet():
            self._series = ocp.training.Checkpointer(
                str(self.folder),
                preservation_policy=newest,  # pyright: ignore[reportArgumentType]
                cleanup_tmp_directories=True,
            )

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in rising order."""
        return sorted(each.step for each in self._series.checkpoints)

    def save(self, state: State) -> None:
        """Write the state under its step; what exists is whole, or is not there at all.

        Raises:
            OSError: it could not be written; the sentence says what is kept.
        """
        kept, step = self.steps, int(state.step)
        try:
            with _quiet():
                self._series.save(step, _plain(state) | {"checksum": checksum(state)})
        except Exception as error:  # Orbax raises ValueError where a disk is full
            self._failed = True
            reason = str(error).split(" [", 1)[0]  # without TensorStore's codes
            before = f"that of step {kept[-1]} is kept" if kept else "there is none before it"
            raise OSError(
                f"checkpoint {self.folder / str(step)} could not be written ({reason}); "
                f"{before}"
            ) from error

    def latest(self, like: Any) -> State | None:
        """Return the newest state, placed as `like` (arrays or their abstract stand-ins).

        Raises:
            ValueError: it cannot be read; the sentence says which to delete to go on.
        """
        steps = self.steps
        if not steps:
            return None
        abstract_sum = jax.ShapeDtypeStruct((), jnp.uint32, sharding=like.step.sharding)
        try:
            with _quiet():
                read = self._series.load(steps[-1], _plain(like) | {"checksum": abstract_sum})
        except Exception as error:  # Orbax raises many kinds on files that are not its own
            raise self._unreadable(steps, type(error).__name__) from error
        expected = int(read.pop("checksum"))
        state = State(**read)
        if int(checksum(state)) != expected:
            raise self._unreadable(steps, "its checksum is another")
        return state

    def _unreadable(self, steps: list[int], reason: str) -> ValueError:
        goes_on = f"from step {steps[-2]}" if steps[1:] else "from the start"
        return ValueError(
            f"checkpoint {self.folder / str(steps[-1])} cannot be read ({reason}); delete that "
            f"folder to go on {goes_on}"
        )

    def close(self) -> None:
        """Finish what is being written."""
        try:
            with _quiet():
                self._series.close()
        except Exception:  # Orbax raises once more what `save` has told
            if not self._failed:
                raise


@jax.jit
def checksum(state: State) -> jax.Array:
    """Return a sum over all bits of a state, the same however it is spread over devices.

        sum of bits_i (2 i + 1)  mod 2^32

    The factors are odd, so that any one bit that differs makes another sum.
    """
    total = jnp.uint32(0)
    for leaf in jax.tree.leaves(state):
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32)
        place = jnp.zeros(leaf.shape, jnp.uint32)
        for axis, size in enumerate(leaf.shape):
            place = place * size + jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        total = total * 3 + jnp.sum(bits * (2 * place + 1), dtype=jnp.uint32)
    return total


def _plain(state: Any) -> dict[str, Any]:
    return dict(vars(state))


def abstract(state: Any, shardings: Any) -> Any:
    """Return stand-ins for the leaves of a state: shape, dtype and place."""
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        state,
        shardings,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what Orbax logs at each save; where it fails, we say so."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
