import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.solve import log_shift, softplus_root
from tests.conftest import needs_x64
from tests.support import approx


def residual(z, rho, mu):
    """z + mu softplus(z) - rho with 50 digits."""
    with mpmath.workdps(50):
        z = mpmath.mpf(float(z))
        return z + mpmath.mpf(mu) * mpmath.log1p(mpmath.exp(z)) - mpmath.mpf(rho)


def slope(z, mu):
    with mpmath.workdps(50):
        return 1 + mpmath.mpf(mu) / (1 + mpmath.exp(-mpmath.mpf(float(z))))


@needs_x64
@settings(max_examples=400, deadline=None)
@given(
    rho=st.floats(-1e4, 1e4) | st.floats(-1, 1),
    mu=st.floats(-0.999, 100) | st.floats(-8, 80).map(lambda x: 10.0**x),
)
def test_two_steps_reach_double_precision_for_every_argument(rho, mu):
    z = softplus_root(rho, mu)
    error = residual(z, rho, mu) / slope(z, mu)
    scale = max(1.0, abs(float(z)), abs(rho) * 0.01)
    # rho itself is only known to its rounding: allow for it through the slope.
    allowed = 2e-15 * scale + 2e-16 * abs(rho) / float(slope(z, mu))
    assert abs(float(error)) <= allowed


@needs_x64
@pytest.mark.parametrize("mu", [0.05, 0.8, 3.5, 12.0, 1e3])
def test_each_step_is_of_fourth_order(mu):
    """The error after a step is of the order of the fourth power of the error before."""
    from scaling_jax.solve.scalar import _householder

    rho = jnp.linspace(-5.0, 20.0, 101)
    root = softplus_root(rho, mu)
    errors = []
    for distance in (0.1, 0.05):
        after = _householder(root + distance, rho, jnp.full_like(rho, mu))
        errors.append(np.asarray(jnp.abs(after - root)))
    visible = errors[1] > 1e-13
    assert visible.any()
    order = np.log2(errors[0][visible] / errors[1][visible])
    assert np.median(order) == approx(4.0, abs=0.3)


def test_limits_of_the_shift():
    assert log_shift(0.0, 3.0, 2.0) == 0.0
    assert log_shift(5.0, 3.0, 0.0) == 0.0
    # Strong pull: y = mu (log(pull) + offset) / (1 + mu) to leading order.
    assert log_shift(1e30, 0.0, 1.0) == approx(np.log(1e30) / 2, rel=1e-6)


@needs_x64
@pytest.mark.parametrize("pull", [0.0, 1e-12, 0.3, 7.0, 1e12])
@pytest.mark.parametrize("mu", [-0.6, 0.2, 3.5])
def test_derivatives_of_the_shift(pull, mu):
    point = (jnp.asarray(pull), jnp.asarray(-1.3), jnp.asarray(mu))
    reverse = jax.grad(log_shift, (0, 1, 2))(*point)
    forward = jax.jacfwd(log_shift, (0, 1, 2))(*point)
    hessian = jax.hessian(log_shift, (0, 1, 2))(*point)
    y = float(log_shift(*point))
    with mpmath.workdps(40):

        def exact(pull, offset, mu):
            def equation(y):
                return y - mu * mpmath.log1p(pull * mpmath.exp(offset - y))

            return mpmath.findroot(equation, mpmath.mpf(y))

        arguments = [mpmath.mpf(float(x)) for x in point]
        for i in range(3):
            orders = [int(i == j) for j in range(3)]
            expected = float(mpmath.diff(exact, tuple(arguments), tuple(orders)))
            assert reverse[i] == approx(expected, rel=1e-9, abs=1e-13)
            assert forward[i] == approx(reverse[i], rel=1e-12, abs=1e-300)
            orders[i] = 2
            second = float(mpmath.diff(exact, tuple(arguments), tuple(orders)))
            assert hessian[i][i] == approx(second, rel=1e-7, abs=1e-11)


def test_vmap_is_the_loop():
    rho = jnp.linspace(-30.0, 60.0, 11)
    batch = jax.vmap(softplus_root, (0, None))(rho, 3.0)
    alone = jnp.stack([softplus_root(r, 3.0) for r in rho])
    assert jnp.allclose(batch, alone, rtol=1e-6)
