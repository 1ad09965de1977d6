"""Named axes: arrays, stacked records, or ranges written compactly."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._numerics import as_floats
from scaling_jax.laws.sourced import unwrapped


def axis(text: str) -> np.ndarray:
    """Return the values of `first:last:count`, evenly spaced, or `first:last:count:log`.

    x_k = first + k (last - first) / (count - 1), or first (last / first)^(k / (count - 1)),
    for k = 0 … count - 1: both ends are included, exactly.

    Raises:
        ValueError: no such range; the sentence says what is wrong with it.

    Example:
        >>> axis("1:100:3:log").tolist()
        [1.0, 10.0, 100.0]
        >>> axis("1.8:3.0:4").round(1).tolist()
        [1.8, 2.2, 2.6, 3.0]
    """
    parts = text.split(":")
    try:
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
        spacing = "".join(parts[3:]) or "even"
    except (IndexError, ValueError):
        first, last, count, spacing = math.nan, math.nan, 0, ""
    if count < 1 or spacing not in ("even", "log") or not math.isfinite(first + last):
        raise ValueError(
            f"{text!r} is no axis; it must be like 1.8:3.0:200 or 1e9:1e14:200:log"
        )
    if spacing == "even":
        return np.linspace(first, last, count)
    if not min(first, last) > 0:
        raise ValueError(f"{text!r} is no axis: the ends of a log range must be positive")
    return np.geomspace(first, last, count)


class Axes(NamedTuple):
    """Axes made ready: stacked values by name, and the coordinates that label them."""

    points: dict[str, Any]
    coordinates: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(each) for each in self.coordinates.values())

    @property
    def size(self) -> int:
        """The number of points of the product."""
        return math.prod(self.shape)


def read_axes(axes: Mapping[str, Any]) -> Axes:
    """Return the axes as stacks of one floating dtype.

    An axis is a range as `axis` reads it, an array [n] or a list of numbers, or records (any
    pytree): a list of them, or one whose leaves are stacked [n]. The coordinates of records are
    0 … n - 1. Arrays are read to the host, wherever they were sharded.

    Raises:
        ValueError: no axes, or one that is not a stack of one length.
    """
    if not axes:
        raise ValueError("grid needs at least one axis")
    given = {
        name: axis(each) if isinstance(each, str) else _stacked(name, each)
        for name, each in axes.items()
    }
    (points,) = as_floats(axes=given)
    coordinates = {}
    for name in given:  # in the caller's order, which pytrees of dicts do not keep
        stack = points[name]
        lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(stack)}
        single = isinstance(stack, jax.Array)
        if len(lengths) != 1 or lengths & {(), (0,)} or (single and stack.ndim != 1):
            raise ValueError(
                f"axis {name!r} must be one array of one dimension, not empty, or a record "
                "whose leaves are stacked to one length"
            )
        ((length,),) = lengths
        coordinates[name] = np.asarray(stack) if single else np.arange(length)
    return Axes(points, coordinates)


def _stacked(name: str, each: Any) -> Any:
    """Return an axis as one pytree of stacks: a list is put together, element by element."""
    if not isinstance(each, list | tuple) or hasattr(each, "_fields"):
        return jax.tree.map(np.asarray, unwrapped(each))
    elements = [unwrapped(element) for element in each]
    if len({jax.tree.structure(element) for element in elements}) > 1:
        raise ValueError(f"axis {name!r} lists records of several kinds; they must be of one")
    if not elements or jax.tree_util.all_leaves(elements):
        return np.asarray(elements)
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *elements)
