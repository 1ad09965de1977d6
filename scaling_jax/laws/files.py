"""Laws as JSON files: a family, its coefficients, and the laws of resampled runs."""

import dataclasses
import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax._pytree import fields_with_domain
from scaling_jax.laws.families import Chinchilla, Coupled, Kaplan, PowerSum, Tied
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


def save(
    law: PowerSum, path: str | os.PathLike[str], *, resampled: PowerSum | None = None
) -> None:
    """Write a law as JSON, in full precision.

    Args:
        law: any law of a family of this library.
        path: the file.
        resampled: the laws of resampled runs, as one law of stacked coefficients [n].
    """
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
    return _law(key, content, {k: float(v) for k, v in content["coefficients"].items()})


def load_resampled(name_or_path: str | os.PathLike[str]) -> PowerSum | None:
    """Return the resampled laws of a file, stacked, or None where it holds none."""
    key = os.fspath(name_or_path)
    if key.lower() in PUBLISHED:
        return None
    content = _read(key)
    if "resampled" not in content:
        return None
    return _law(
        key, content, {k: np.asarray(v, float) for k, v in content["resampled"].items()}
    )


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


def _law(key: str, content: dict[str, Any], values: Mapping[str, Any]) -> PowerSum:
    kind = _FAMILIES[content["law"]]
    names = [field.name for field in dataclasses.fields(kind)]
    for name in names:
        if name not in values:
            raise ValueError(f"{key} holds no law: {content['law']} needs {name!r}")
    for name in values:
        if name not in names:
            raise ValueError(f"{key} holds no law: {content['law']} has no {name!r}")
    law = kind(**values)
    for path, value, domain in fields_with_domain(law, ""):
        if not np.all(domain.contains(np.asarray(value))):
            raise ValueError(
                f"{key} holds no law: {path} is {value}; it must be {domain.words}"
            )
    return law


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), PUBLISHED, n=1, cutoff=0.3)
    if close:
        return f"; the nearest published law is {close[0]}"
    return f"; the published laws are {', '.join(PUBLISHED)}"


def _known() -> str:
    return ", ".join(_FAMILIES)
