"""Laws as JSON files: a family, its coefficients, and the laws of resampled runs."""

import dataclasses
import difflib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling_jax._pytree import fields_with_domain
from scaling_jax.laws.families import Chinchilla, Coupled, Kaplan, Law, PowerSum, Tied
from scaling_jax.laws.published import PUBLISHED

_FAMILIES: dict[str, type[PowerSum]] = {
    "chinchilla": Chinchilla,
    "coupled": Coupled,
    "kaplan": Kaplan,
    "tied": Tied,
}


def family(name: str) -> type[PowerSum]:
    """Return a family of laws by its name in lower case.

    Raises:
        ValueError: no such family; the sentence names those there are.
    """
    if name not in _FAMILIES:
        raise ValueError(f"no family of laws is called {name!r}; known are {_known()}")
    return _FAMILIES[name]


def save(law: Law, path: str | os.PathLike[str], *, resampled: Law | None = None) -> None:
    """Write a law as JSON, in full precision.

    Args:
        law: any law of a family of this library.
        path: the file.
        resampled: the laws of resampled runs, as one law of stacked coefficients [n].

    Raises:
        ValueError: a law of a family of your own, which `load` could not make again.
    """
    if type(law) not in _FAMILIES.values():
        raise ValueError(
            f"{type(law).__name__} is no family of this library; known are {_known()}"
        )
    content: dict[str, Any] = {
        "law": type(law).__name__.lower(),
        "coefficients": {name: float(value) for name, value in vars(law).items()},
    }
    if resampled is not None:
        stacks = vars(resampled).items()
        content["resampled"] = {name: np.asarray(stack).tolist() for name, stack in stacks}
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(name_or_path: str | os.PathLike[str]) -> PowerSum:
    """Return a published law by name, or the law that `save` wrote to a JSON file.

    Raises:
        ValueError: no such name or file, or a file that holds no law.

    Example:
        >>> load("besiroglu2024").E
        1.8172
    """
    key = os.fspath(name_or_path)
    if key.lower() in PUBLISHED:
        return PUBLISHED[key.lower()].law
    content = _read(key)
    law = _law(key, content["law"], content["coefficients"], dimensions=0)
    return jax.tree.map(float, law)


def load_resampled(name_or_path: str | os.PathLike[str]) -> PowerSum | None:
    """Return the resampled laws of a file, stacked, or None where it holds none."""
    key = os.fspath(name_or_path)
    if key.lower() in PUBLISHED:
        return None
    content = _read(key)
    if "resampled" not in content:
        return None
    return _law(key, content["law"], content["resampled"], dimensions=1)


def _read(key: str) -> dict[str, Any]:
    path = Path(key)
    if not path.is_file():
        raise ValueError(f"no law or file is called {key!r}{_nearest(key)}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{key} holds no law: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{key} holds no law: it is not a JSON object")
    for name in ("law", "coefficients"):
        if name not in content:
            raise ValueError(f"{key} holds no law: no key {name!r}")
    if content["law"] not in _FAMILIES:
        raise ValueError(
            f"{key} holds no law: its law is {content['law']!r}; known are {_known()}"
        )
    return content


def _law(key: str, name: str, values: Any, dimensions: int) -> PowerSum:
    kind = _FAMILIES[name]
    wanted = {field.name for field in dataclasses.fields(kind)}
    found = set(values) if isinstance(values, dict) else set()
    if wanted != found:
        odd = sorted(wanted ^ found)[0]
        problem = f"needs {odd!r}" if odd in wanted else f"has no {odd!r}"
        raise ValueError(f"{key} holds no law: {name} {problem}")
    law = kind(**{field: _numbers(key, field, values[field], dimensions) for field in wanted})
    for path, value, domain in fields_with_domain(law, ""):
        wrong = np.flatnonzero(~np.ravel(domain.contains(value)))
        if wrong.size:
            where = f" in resample {wrong[0] + 1}" if dimensions else ""
            raise ValueError(
                f"{key} holds no law: {path} is {np.ravel(value)[wrong[0]]}{where}; "
                f"it must be {domain.words}"
            )
    return law


def _numbers(key: str, field: str, value: Any, dimensions: int) -> np.ndarray:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != dimensions:
        kind = "a list of numbers" if dimensions else "a number"
        raise ValueError(f"{key} holds no law: {field} is {value!r}; it must be {kind}")
    return array


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), PUBLISHED, n=1, cutoff=0.3)
    if close:
        return f"; the nearest published law is {close[0]}"
    return f"; the published laws are {', '.join(PUBLISHED)}"


def _known() -> str:
    return ", ".join(_FAMILIES)
