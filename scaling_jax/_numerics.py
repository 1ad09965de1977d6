"""The few numerical idioms that the whole library shares."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Number


def log_power(log_scale: Number, exponent: Number, log_base: Number) -> jax.Array:
    """Return log(scale / base^exponent) from logarithms: no overflow whatever the size."""
    return jnp.asarray(log_scale - exponent * log_base)


@jax.custom_jvp
def log_large(x: jax.Array) -> jax.Array:
    """Return log(x), with derivatives that never form x^2: in float32 1e20 has none.

    d log(x) = exp(-log(x)) dx, at every order.
    """
    return jnp.log(x)


@log_large.defjvp
def _log_large_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    log_x = log_large(*primals)
    return log_x, tangents[0] * jnp.exp(-log_x)


def mean_decay(x: Number) -> jax.Array:
    """Return (1 - e^-x) / x, the mean of e^(-x t) over t from 0 to 1; smooth at x = 0."""
    x = jnp.asarray(x, float) if isinstance(x, float | int) else jnp.asarray(x)
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    series = 1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5)))
    return jnp.where(small, series, -jnp.expm1(-safe) / safe)


def as_floats(**trees: Any) -> list[Any]:
    """Return the trees, in order, with every leaf an array of one floating dtype.

    Python numbers are weak: they follow the arrays that stand beside them, or else the
    default (64-bit where `jax_enable_x64` is on). So a call with 3, 3.0 or a float array is
    one trace of a compiled function, and mixed inputs never fail under strict promotion.

    Raises:
        TypeError: a leaf is no real number; the sentence names it.
    """
    dtypes = [
        leaf.dtype
        for leaf in jax.tree.leaves(trees)
        if hasattr(leaf, "dtype")
        and jnp.issubdtype(leaf.dtype, jnp.floating)
        and not getattr(leaf, "weak_type", False)  # a Python number that `jit` was given
    ]
    widest = functools.reduce(np.promote_types, dtypes or [np.dtype(float)])
    dtype = jax.dtypes.canonicalize_dtype(np.promote_types(widest, np.float32))
    cast = jax.tree.map_with_path(lambda path, x: _as_float(path, x, dtype), trees)
    return [cast[name] for name in trees]


def _as_float(path: Any, leaf: Any, dtype: Any) -> jax.Array:
    if isinstance(leaf, jax.Array):
        real = not jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        if real and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            return leaf.astype(dtype)
    elif np.asarray(leaf).dtype.kind not in "SUc":  # text and complex numbers
        try:
            with np.errstate(over="ignore"):  # to infinity, which no domain accepts
                return jnp.asarray(np.asarray(leaf, dtype=float).astype(dtype))
        except (TypeError, ValueError, OverflowError):
            pass
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    raise TypeError(f"{name} is {leaf!r}; it must be a real number or an array of them")
