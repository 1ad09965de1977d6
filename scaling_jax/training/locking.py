"""A run's folder: of one run, and of one process at a time."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling_jax._files import lock, write_whole
from scaling_jax.training.config import RunConfig, difference, with_defaults
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.processes import BusyError, is_lead, together

_NAME = "run.json"


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
def claimed(out: Path, config: RunConfig, corpus: Corpus) -> Iterator[None]:
    """Lock the folder, as this run's: the lead does, and all processes go on or none."""
    with contextlib.ExitStack() as stack:
        with together():
            if is_lead():
                out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(out))
                claim(out, config, corpus)
        yield


def claim(out: Path, config: RunConfig, corpus: Corpus) -> None:
    """Make the folder this run's, or refuse one that is another's."""
    if (out / _NAME).exists():
        check_claim(out, config, corpus)
    else:
        write_whole(out / _NAME, json.dumps(_plain(config, corpus), indent=2) + "\n")


def check_claim(out: Path, config: RunConfig, corpus: Corpus) -> None:
    """Refuse a folder that is another run's.

    A folder of an older version has no word for what is younger: there it had the default.
    """
    path = out / _NAME
    if not path.exists():
        return
    try:
        saved = json.loads(path.read_text("utf-8"))
    except ValueError:
        saved = None
    if not isinstance(saved, dict):
        raise ValueError(
            f"{path} is not the configuration of a run; give another folder, or remove the "
            f"file if this run is the folder's"
        )
    if found := difference(_plain(config, corpus), with_defaults(saved, config)):
        raise ValueError(f"{out} holds another run: {found}; give another folder")


def _plain(config: RunConfig, corpus: Corpus) -> dict[str, Any]:
    """Return what is compared, as JSON gives it back."""
    return json.loads(json.dumps(config.to_dict() | {"corpus": corpus.fingerprint}))
