"""One process at a time in a run's folder."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


class BusyError(ValueError):
    """Another process is training in the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the lock goes with the process, however it ends.

    Raises:
        BusyError: another process holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder} is being trained in by another process") from error
        yield
