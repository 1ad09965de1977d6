"""A folder that appears whole or not at all.

It is filled under a hidden name beside its own and renamed at the end. The process that fills
it holds a lock inside, which the system lets go when the process ends, however it ends: what
a kill leaves behind is an unlocked hidden folder, and the next attempt removes it.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from scaling_jax._files import lock

_LOCK = "lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill, which takes the name of another when the block ends well.

    Where another process has been faster, its folder stays and this one is dropped.

    Raises:
        OSError: there is no room on the disk, or no right to write; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}.preparing-"
    _remove_abandoned(folder.parent, prefix)
    stage = folder.parent / f"{prefix}{secrets.token_hex(8)}"
    stage.mkdir()
    try:
        with _locked(stage):
            yield stage
            _sync(stage)  # still locked: whoever finds it after a kill may remove it
            for each in stage.glob(f"{_LOCK}*"):
                each.unlink()
            _take_name(stage, folder)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(
            error.errno,
            f"{folder} could not be written: {os.strerror(error.errno or 0)}; "
            f"nothing of it is left behind",
        ) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def _locked(stage: Path) -> Iterator[None]:
    # The lock is taken before the file has the name that others look for.
    new = stage / f"{_LOCK}.new"
    with new.open("w") as file:
        with contextlib.suppress(OSError):  # a file system without locks: never removed
            if lock(file, wait=True):
                new.rename(stage / _LOCK)
        yield


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for stage in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), (stage / _LOCK).open("r+") as file:
            if lock(file, wait=False):
                shutil.rmtree(stage)


def _sync(stage: Path) -> None:
    for path in stage.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _take_name(stage: Path, folder: Path) -> None:
    try:
        stage.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
