"""Python files of your own: run, looked into, and blamed for what goes wrong in them."""

import difflib
import sys
import traceback
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What was run, by the path that tracebacks name, with its text: one file may hold law and cost.
_FILES: dict[str, tuple[str, types.ModuleType]] = {}


def is_own(text: str) -> bool:
    """Return whether a --law or --cost names something in a Python file."""
    return text.endswith(".py") or ".py:" in text


def load(text: str, flag: str) -> Any:
    """Run a Python file and return what it calls NAME."""
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        file, name = text, ""
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{flag} is {text!r}; no file is called {file!r}")
    held = _run(path)
    if name and hasattr(held, name):
        return getattr(held, name)
    own = [each for each, value in vars(held).items() if _is_offered(held, each, value)]
    if name:
        raise ValueError(f"{file} has no {name!r}{nearest(name, own)}")
    listed = f", one of {', '.join(own)}" if own else ""
    raise ValueError(f"{flag} is {text!r}; it must be {file}:NAME{listed}")


def _is_offered(held: types.ModuleType, name: str, value: Any) -> bool:
    """Return whether a name may be what was meant: not private, not a module, not imported."""
    if name.startswith("_") or isinstance(value, types.ModuleType):
        return False
    return getattr(value, "__module__", held.__name__) == held.__name__


def _run(path: Path) -> types.ModuleType:
    """Return the module of a file, run once for each text that it has."""
    where = str(path)
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not a Python file: {error}") from None
    if where in _FILES and _FILES[where][0] == source:
        return _FILES[where][1]
    held = types.ModuleType(f"scaling_jax_own_{path.stem}_{len(_FILES)}")
    held.__file__ = where
    _FILES[where] = source, held
    sys.modules[held.__name__] = held  # where annotations are looked up
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # after all else: for what the file imports beside it
    try:
        exec(compile(source, where, "exec"), vars(held))
    except BaseException as error:
        del _FILES[where]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(_said(error, [where])) from None
    return held


def blame(error: BaseException) -> str | None:
    """Return in one sentence where in a file of one's own an error arose; None if in none."""
    return _said(error, _FILES) if _line(error, _FILES) else None


def _said(error: BaseException, files: Iterable[str]) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    found = _line(error, files)
    name = type(error).__name__
    text = next(iter(str(error).splitlines()), "")
    where = "" if found is None else f"{found.filename}, line {found.lineno}"
    if found is not None and found.name != "<module>":
        where += f", in {found.name}"
    advice = (
        "" if not _is_tracer_error(error) else "; a formula needs the functions of jax.numpy"
    )
    return f"{where}: {name}{': ' if text else ''}{text.rstrip('.')}{advice}"


def _line(error: BaseException, files: Iterable[str]) -> traceback.FrameSummary | None:
    """Return the innermost line of the files that an error came through."""
    known = set(files)
    frames = traceback.extract_tb(error.__traceback__) if known else []
    return next((each for each in reversed(frames) if each.filename in known), None)


def _is_tracer_error(error: BaseException) -> bool:
    return any(each.__name__ == "JAXTypeError" for each in type(error).__mro__) or (
        "__array__" in str(error) and "tracer" in type(error).__name__.lower()
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that has no such name: what may have been meant."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
    if close:
        return f"; the nearest is {close[0]}"
    return f"; it has {', '.join(names) or 'none'}"
