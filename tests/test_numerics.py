import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax._numerics import as_floats, log_large
from tests.conftest import needs_x64
from tests.support import approx


def test_python_numbers_follow_the_arrays_beside_them():
    a, b = as_floats(a=1, b=np.float32(2.0))
    assert a.dtype == b.dtype == jnp.float32


def test_python_numbers_alone_take_the_default(float_dtype):
    assert as_floats(a=10**30)[0].dtype == float_dtype


@needs_x64
def test_mixed_arrays_take_the_widest_dtype():
    a, b = as_floats(a=jnp.ones(2, jnp.float32), b=np.float64(1.0))
    assert a.dtype == b.dtype == jnp.float64


def test_large_logarithms_have_their_derivatives_in_float32():
    x = jnp.float32(3e23)
    second = jax.jit(jax.grad(jax.grad(lambda t: log_large(x * jnp.exp(t) + x))))
    assert second(jnp.float32(0.0)) == approx(0.25, rel=1e-5)


def test_half_precision_is_widened():
    assert as_floats(a=jnp.ones(2, jnp.bfloat16))[0].dtype == jnp.float32


def test_integers_beyond_int32_and_tracers_are_taken():
    assert as_floats(a=70_000_000_000)[0] == 7e10
    assert jax.jit(lambda n: as_floats(a=n)[0])(3) == 3.0


@pytest.mark.parametrize("wrong", ["12", 1j, None.__class__, jax.random.key(0)])
def test_what_is_no_number_is_named(wrong):
    with pytest.raises(TypeError, match=r"(?s)law\.alpha is .* must be a real number"):
        as_floats(law={"alpha": wrong})
