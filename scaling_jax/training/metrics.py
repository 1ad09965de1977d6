"""Metrics of a run as JSON lines: one line a call, no gaps and no doubles after a resume."""

import json
import os
import time
from pathlib import Path
from typing import Any

from scaling_jax._files import named, write_whole
from scaling_jax._json import strict


class MetricsFile:
    """An append-only file of JSON lines, each with the step that it ends at.

    It is also the clock of the run: `seconds` goes on, over all sittings, where the last line
    that was kept stood.
    """

    def __init__(self, path: Path, *, after: int) -> None:
        """Open the file and drop what lies behind a step: a resumed run writes it again."""
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= after]
        if path.exists():
            write_whole(path, "".join(map(_line, kept)))
        self.seconds = kept[-1]["seconds"] if kept else 0.0
        self._read_at = time.perf_counter()
        self._file = path.open("a", encoding="utf-8", buffering=1)  # whoever looks on sees it

    def lap(self) -> float:
        """Return the seconds since the lap before, or since the file was opened."""
        now = time.perf_counter()
        lap, self._read_at = now - self._read_at, now
        self.seconds += lap
        return lap

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, with the seconds of all laps."""
        with named(self.path):
            self._file.write(_line(line | {"seconds": self.seconds}))

    def flush(self) -> None:
        """Make what was written outlive the machine; call it before committing a checkpoint."""
        with named(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file; one cut short by a kill ends them.

    Raises:
        ValueError: another line is no metrics; the sentence says which.
    """
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")  # what has no end was cut short
    return [_parsed(text, f"{path}, line {row}") for row, text in enumerate(whole, 1)]


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict) or not {"step", "loss", "seconds"} <= line.keys():
        raise ValueError(
            f"{where} is damaged; mend it, or remove the file to go on without what it holds"
        )
    return line


def _line(content: dict[str, Any]) -> str:
    return json.dumps(strict(content), allow_nan=False) + "\n"
