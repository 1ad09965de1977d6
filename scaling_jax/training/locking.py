"""A run's folder: of one run, and of one process at a time."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from scaling_jax._files import lock, write_whole
from scaling_jax.training.config import RunConfig, difference
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.processes import BusyError, is_lead, together


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder; the lock goes with the process, however it ends.

    Raises:
        BusyError: another process holds it, and this one does not wait.
    """
    with (folder / ".lock").open("w") as file:
        try:
            lock(file, wait=wait)
        except BlockingIOError as error:
            raise BusyError(f"{folder} is being trained in by another process") from error
        yield


@contextlib.contextmanager
def held(out: Path, config: RunConfig, corpus: Corpus) -> Iterator[None]:
    """Hold the folder for this run: the lead does, and all processes go on or none."""
    with contextlib.ExitStack() as stack:
        with together():
            if is_lead():
                out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(out))
                claim(out, config, corpus)
        yield


def claim(out: Path, config: RunConfig, corpus: Corpus) -> None:
    """Make the folder this run's, or refuse one that is another's."""
    mine = json.loads(json.dumps(config.to_dict() | {"corpus": corpus.fingerprint}))
    path = out / "run.json"
    if not path.exists():
        write_whole(path, json.dumps(mine, indent=2) + "\n")
        return
    try:
        claimed = json.loads(path.read_text("utf-8"))
    except ValueError:
        claimed = None
    if not isinstance(claimed, dict):
        raise ValueError(
            f"{path} is not the configuration of a run; give another folder, or remove the "
            f"file if this run is the folder's"
        )
    if found := difference(mine, claimed):
        raise ValueError(f"{out} holds another run: {found}; give another folder")
