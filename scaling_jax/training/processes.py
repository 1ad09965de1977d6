"""The processes of one run: one of them writes, and all go on or none."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils


class BusyError(ValueError):
    """Another process is training in the folder."""


def is_lead() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def as_lead(flag: bool) -> bool:
    """Return the lead's flag in every process, where each might see another."""
    if jax.process_count() > 1:
        flag = bool(multihost_utils.broadcast_one_to_all(np.bool_(flag)))
    return flag


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Leave a block in all processes alike: where one fails in it, every one raises.

    None may wait for another inside, as it would for one that has failed.

    Raises:
        BusyError, ValueError: another process failed, and says why.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    failed = _gathered(error is not None)
    is_busy = _gathered(isinstance(error, BusyError)).any()
    if error is not None:
        raise error
    if failed.any():
        kind = BusyError if is_busy else ValueError
        raise kind(f"process {int(np.argmax(failed))} cannot go on, and says why")


def _gathered(flag: bool) -> np.ndarray:
    """Return the flag of each process."""
    if jax.process_count() == 1:
        return np.array([flag])
    return np.asarray(multihost_utils.process_allgather(np.bool_(flag))).reshape(-1)
