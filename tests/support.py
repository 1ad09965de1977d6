"""What several test files use."""

from typing import Any

import pytest


def approx(expected: Any, rel: float = 1e-6, abs: float = 0.0) -> Any:
    """`pytest.approx` for a JAX scalar as well, with no hidden absolute tolerance."""
    return pytest.approx(float(expected), rel=float(rel), abs=float(abs))
