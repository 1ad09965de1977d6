"""Checkpoints of a run's state, written by Orbax: atomic, the last two kept."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from scaling_jax.training.step import State

_KEPT = 2


class Checkpoints:
    """The checkpoints in one folder; a context manager that waits for what it writes."""

    def __init__(self, folder: Path) -> None:
        # Orbax is imported here: it is part of an extra, and slow to import.
        from orbax.checkpoint import v1 as ocp  # noqa: PLC0415

        self.folder = folder.absolute()
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
        """Write the state under its step; what exists is whole, or is not there at all."""
        with _quiet():
            self._series.save(int(state.step), _plain(state))

    def latest(self, like: Any) -> State | None:
        """Return the newest state, placed as `like` (arrays or their abstract stand-ins).

        Raises:
            ValueError: it cannot be read; the sentence says which to delete to go on.
        """
        steps = self.steps
        if not steps:
            return None
        try:
            with _quiet():
                return State(**self._series.load(steps[-1], _plain(like)))
        except Exception as error:  # Orbax raises many kinds on files that are not its own
            goes_on = f"from step {steps[-2]}" if steps[1:] else "from the start"
            raise ValueError(
                f"checkpoint {self.folder / str(steps[-1])} cannot be read "
                f"({type(error).__name__}); delete that folder to go on {goes_on}"
            ) from error

    def close(self) -> None:
        """Finish what is being written."""
        self._series.close()


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
    """Hold back what Orbax logs at each save."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
