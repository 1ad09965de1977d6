"""Laws as JSON files: a family, its coefficients, where they come from and hold.

    {"law": "chinchilla", "coefficients": {"E": 1.69, "A": 406.4, …},
     "resampled": {"E": [1.68, …], …}, "source": "…", "warnings": ["…"],
     "valid": {"params": [1e8, 6e9], "tokens": …, "axes": {"unique_tokens": […]}}}

A nested law names what it is made of, and its coefficients are dotted paths:

    {"law": {"repeated": {"base": "chinchilla"}}, "coefficients": {"base.E": 1.87, …}}
    {"law": {"mixture": {"laws": ["chinchilla", "coupled"]}},
     "coefficients": {"laws.0.E": 1.69, …, "weights.0": 0.4, "weights.1": 0.6}}
"""

import dataclasses
import difflib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling_jax._files import write_whole
from scaling_jax._json import strict
from scaling_jax._pytree import coefficients, fields_with_domain
from scaling_jax.laws.families import Law
from scaling_jax.laws.published import PUBLISHED
from scaling_jax.laws.registry import FAMILIES, known
from scaling_jax.laws.sourced import Sourced, Valid


def save(law: Law | Sourced, path: str | os.PathLike[str]) -> None:
    """Write a law as JSON, in full precision, with what is known of it.

    Args:
        law: any law of families of this library, nested too, bare or `Sourced`.
        path: the file; it appears whole or not at all.

    Raises:
        ValueError: a law of a family of your own, which `load` could not make again.
    """
    each = law if isinstance(law, Sourced) else Sourced(law=law)
    content: dict[str, Any] = {
        "law": _structure(each.law),
        "coefficients": {name: float(x) for name, x in coefficients(each.law).items()},
    }
    if each.resampled is not None:
        stacks = coefficients(each.resampled).items()
        content["resampled"] = {name: np.asarray(stack).tolist() for name, stack in stacks}
    known = {
        "subject": each.subject,
        "source": each.source,
        "caveat": each.caveat,
        "warnings": list(each.warnings),
    }
    known["valid"] = {name: x for name, x in each.valid._asdict().items() if x}
    content |= {name: value for name, value in known.items() if value}
    write_whole(Path(path), json.dumps(strict(content), indent=2) + "\n")


def _structure(law: Any) -> Any:
    """Return the family of a law and, where laws are nested in it, what it is made of."""
    name = next((name for name, kind in FAMILIES.items() if type(law) is kind), None)
    if name is None:
        raise ValueError(
            f"{type(law).__name__} is not a family of this library; known are {known()}"
        )
    parts = {}
    for field, value in vars(law).items():
        if isinstance(value, Law):
            parts[field] = _structure(value)
        elif isinstance(value, tuple | list) and any(isinstance(x, Law) for x in value):
            parts[field] = [_structure(each) for each in value]
    return {name: parts} if parts else name


def load(name_or_path: str | os.PathLike[str]) -> Any:
    """Return a published law by name, or the law that `save` wrote to a JSON file.

    Raises:
        ValueError: no such name or file, or a file that does not hold a law.

    Example:
        >>> load("besiroglu2024").E
        1.8172
    """
    return load_sourced(name_or_path).law


def load_sourced(name_or_path: str | os.PathLike[str]) -> Sourced:
    """Return the same as `load` with all that is known of it: source, ranges, resamples.

    Example:
        >>> load_sourced("sardana2024-100").valid.tokens_per_param
        (10, 100)
    """
    key = os.fspath(name_or_path)
    if key.lower() in PUBLISHED:
        return PUBLISHED[key.lower()]
    content = _read(key)
    try:
        law = _build(content["law"], content["coefficients"], dimensions=0)
        stacked = content.get("resampled")
        resampled = None if stacked is None else _build(content["law"], stacked, dimensions=1)
        return Sourced(
            law=jax.tree.map(float, law),
            resampled=resampled,
            subject=str(content.get("subject", "")),
            source=str(content.get("source", "")),
            caveat=str(content.get("caveat", "")),
            warnings=tuple(map(str, content.get("warnings", ()))),
            valid=_valid(content.get("valid", {})),
        )
    except _OddError as odd:
        raise ValueError(f"{key} does not hold a law: {odd}") from None


class _OddError(Exception):
    """What is odd about a file, in words."""


def _read(key: str) -> dict[str, Any]:
    path = Path(key)
    if not path.is_file():
        raise ValueError(f"no law or file is called {key!r}{_nearest(key)}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{key} does not hold a law: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{key} does not hold a law: it is not a JSON object")
    for name in ("law", "coefficients"):
        if name not in content:
            raise ValueError(f"{key} does not hold a law: no key {name!r}")
    return content


def _build(structure: Any, values: Any, dimensions: int) -> Law:
    """Return the law of a structure, with numbers by dotted path."""
    if not isinstance(values, dict):
        raise _OddError(f"its coefficients are {str(values)[:40]!r}; they must be an object")
    left = dict(values)
    law = _assemble(structure, left, "", dimensions)
    if left:
        raise _OddError(f"{type(law).__name__.lower()} has no {next(iter(left))!r}")
    for path, value, domain in fields_with_domain(law, ""):
        wrong = np.flatnonzero(~np.ravel(domain.contains(value)))
        if wrong.size:
            where = f" in resample {wrong[0] + 1}" if dimensions else ""
            raise _OddError(
                f"{path} is {np.ravel(value)[wrong[0]]}{where}; it must be {domain.words}"
            )
    return law


def _assemble(structure: Any, left: dict[str, Any], path: str, dimensions: int) -> Law:
    """Make a law, taking its numbers out of `left`."""
    single = isinstance(structure, dict) and len(structure) == 1
    name, parts = next(iter(structure.items())) if single else (structure, {})
    if not isinstance(name, str) or name not in FAMILIES or not isinstance(parts, dict):
        raise _OddError(f"its law is {str(structure)[:60]!r}; known are {known()}")
    kind = FAMILIES[name]
    fields = {}
    for field in dataclasses.fields(kind):
        inner = f"{path}{field.name}"
        part = parts.get(field.name)
        if isinstance(part, list):
            each = enumerate(part)
            fields[field.name] = tuple(
                _assemble(x, left, f"{inner}.{i}.", dimensions) for i, x in each
            )
        elif part is not None:
            fields[field.name] = _assemble(part, left, f"{inner}.", dimensions)
        elif inner in left:
            fields[field.name] = _numbers(inner, left.pop(inner), dimensions)
        elif f"{inner}.0" in left:
            names = [f"{inner}.{i}" for i in range(len(left)) if f"{inner}.{i}" in left]
            fields[field.name] = tuple(_numbers(x, left.pop(x), dimensions) for x in names)
        else:
            raise _OddError(f"{name} needs {inner!r}")
    return kind(**fields)


def _numbers(path: str, value: Any, dimensions: int) -> np.ndarray:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != dimensions:
        kind = "a list of numbers" if dimensions else "a number"
        raise _OddError(f"{path} is {value!r}; it must be {kind}")
    return array


def _valid(ranges: Any) -> Valid:
    def pair(name: str, value: Any) -> tuple[float, float]:
        both = _numbers(f"valid.{name}", value, 1).tolist()
        if len(both) != 2:
            raise _OddError(
                f"valid.{name} is {value!r}; it must be a lowest and a highest number"
            )
        return both[0], both[1]

    if not isinstance(ranges, dict) or not isinstance(ranges.get("axes", {}), dict):
        raise _OddError(f"valid is {str(ranges)[:40]!r}; it must be an object of ranges")
    for name in ranges:
        if name not in Valid._fields:
            raise _OddError(f"valid has no {name!r}; it has {', '.join(Valid._fields)}")
    own = {name: pair(name, x) for name, x in ranges.items() if name != "axes"}
    axes = {name: pair(name, x) for name, x in ranges.get("axes", {}).items()}
    return Valid(**own, axes=axes)


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), PUBLISHED, n=1, cutoff=0.3)
    if close:
        return f"; the nearest published law is {close[0]}"
    return f"; the published laws are {', '.join(PUBLISHED)}"
