"""Strict numerics for every test: 64-bit unless JAX_ENABLE_X64 says otherwise."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

# What one worker, or a command in a process of its own, has compiled the others take over.
_CACHE = "JAX_COMPILATION_CACHE_DIR"
if _CACHE not in os.environ:
    os.environ[_CACHE] = tempfile.mkdtemp(prefix="scaling_jax-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ[_CACHE], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ[_CACHE])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

if "JAX_ENABLE_X64" not in os.environ:
    jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# CI tries the same examples each time; a run by hand tries new ones.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

_MOST_MAPPINGS = 30_000


@pytest.fixture(autouse=True)
def _few_programs():
    """Drop compiled programs before their memory mappings reach Linux's limit of 65,530."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_text().count("\n") > _MOST_MAPPINGS:
        jax.clear_caches()


X64 = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture
def rtol() -> float:
    """The accuracy that plans are held to: 1e-12 in 64-bit, 5e-5 in 32-bit."""
    return 1e-12 if X64 else 5e-5


@pytest.fixture
def float_dtype() -> np.dtype:
    return np.dtype(np.float64 if X64 else np.float32)


needs_x64 = pytest.mark.skipif(not X64, reason="a statement about 64-bit numbers")

DATA = Path(__file__).parents[2] / "shared" / "data"
