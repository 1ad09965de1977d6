"""The fastest matrix product of this process: what MFU is a share of."""

import functools
import time

import jax
import jax.numpy as jnp

_SIZES = {"cpu": 1024, "gpu": 8192, "tpu": 8192}
_REPEATS = 5


@functools.cache
def matmul_peak(dtype: str) -> float:
    """Return the FLOP/s of one device's best large matrix product in a dtype, measured once.

    Measured rather than looked up: a catalogue knows no CPU, and neither a shared machine nor
    a device under a power cap reaches its datasheet.
    """
    size = _SIZES.get(jax.default_backend(), 4096)
    matrix = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)
    product(matrix, matrix).block_until_ready()
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best
