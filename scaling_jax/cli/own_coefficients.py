"""Numbers for a law of your own, from a JSON file or from its class's defaults."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from scaling_jax.cli.own_files import is_own, nearest


def made(text: str, found: Any, path: Path | None) -> Any:
    """Return the law, as a `Sourced`, with the coefficients of a JSON file if there is one.

    The file holds {"dotted.path": number}, or is one that `fit --out` wrote for this law.
    """
    from scaling_jax.laws import FAMILIES, Law, Sourced, load_sourced  # noqa: PLC0415

    if path is None:
        law = _instance(text, found, {}) if isinstance(found, type) else found
        return law if isinstance(law, Sourced) else Sourced(law=law, source=f"your own, {text}")
    content = _read_json(path)
    if isinstance(found, type) and content.get("law") is not None:
        key = _family(content["law"])
        if key.rpartition(":")[2] != text.rpartition(":")[2]:
            raise ValueError(f"{path} holds the law {key}, not {text}")
        FAMILIES[key] = found
        return load_sourced(path)
    values = content.get("coefficients", content)
    bare = found.law if isinstance(found, Sourced) else found
    if not isinstance(bare, type | Law):
        raise ValueError(f"--coefficients is {path}, but {text} is a function, which has none")
    law = _instance(text, bare, _checked(path, values))
    return Sourced(law=law, source=f"your own, {text}, with the coefficients of {path}")


def own_family(name: str) -> str | None:
    """Return FILE.py:NAME of the family in a file that `fit --out` wrote; None of any other."""
    try:
        key = _family(_read_json(Path(name)).get("law"))
    except ValueError:
        return None
    return key if is_own(key) else None


def _family(law: Any) -> str:
    return str(next(iter(law), "")) if isinstance(law, dict) else str(law)


def _instance(text: str, found: Any, values: dict[str, float]) -> Any:
    """Return the law of a class or an instance with these coefficients, and check them all."""
    from scaling_jax._pytree import fields_with_domain  # noqa: PLC0415
    from scaling_jax.laws import coefficients, with_coefficients  # noqa: PLC0415

    left = dict(values)
    name = text.rpartition(":")[2]
    if isinstance(found, type):
        fields: dict[str, Any] = {}
        names = [field.name for field in dataclasses.fields(found)]  # pyright: ignore
        for path in left:
            if path.split(".")[0] not in names:
                raise ValueError(f"{name} has no coefficient {path!r}{nearest(path, names)}")
        for field in dataclasses.fields(found):  # pyright: ignore[reportArgumentType]
            if field.name in left:
                fields[field.name] = left.pop(field.name)
            elif f"{field.name}.0" in left:
                paths = [f"{field.name}.{i}" for i in range(len(left))]
                fields[field.name] = tuple(left.pop(x) for x in paths if x in left)
            elif not has_default(field):
                raise ValueError(_missing(name, field.name, values))
        found = found(**fields)
    known = coefficients(found)
    for path in left:
        if path not in known:
            raise ValueError(f"{name} has no coefficient {path!r}{nearest(path, known)}")
    law = with_coefficients(found, left)
    for path, value, domain in fields_with_domain(law, ""):
        if not domain.contains(value):
            raise ValueError(f"{path} of {name} is {value:g}; it must be {domain.words}")
    return law


def has_default(field: "dataclasses.Field[Any]") -> bool:
    """Return whether a field may be left out."""
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _missing(name: str, field: str, values: dict[str, float]) -> str:
    if any(path.startswith(f"{field}.") for path in values):
        return (
            f"{name} has a law in its field {field!r}, which a file of numbers cannot make; "
            "give the field a default, or name an instance in your file"
        )
    where = "in the file of --coefficients" if values else "; give --coefficients FILE.json"
    return f"{name} needs the coefficient {field!r}{' ' if values else ''}{where}"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"no file of coefficients is called {str(path)!r}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold coefficients: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold coefficients: it is not a JSON object")
    return content


def _checked(path: Path, values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError(f"{path} does not hold coefficients: they are not a JSON object")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} in {path} is {value!r}; it must be a number")
    return {name: float(value) for name, value in values.items()}
