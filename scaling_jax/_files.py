"""Files that appear whole or not at all, and locks on files."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an OSError that names no file this one: a full disk is told by what did not fit."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text file that others only ever see whole: as it was, or as it is now.

    It is filled under a hidden name of its own and renamed, so that several processes may
    write the same file, and a kill or a full disk leaves what was there.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with named(path), scratch.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def lock(file: IO[str], *, wait: bool) -> bool:
    """Lock an open file until it is closed; the lock goes with the process, however it ends.

    Returns:
        Whether it is locked: not where the system has no such locks.

    Raises:
        BlockingIOError: another holds it, and this one does not wait.
        OSError: the file system has no locks.
    """
    if fcntl is None:
        return False
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    return True
