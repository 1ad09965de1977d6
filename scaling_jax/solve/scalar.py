"""The one scalar equation behind every exact plan, solved in two steps."""

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.solve.implicit import root


def softplus_root(rho: Number, mu: Number) -> jax.Array:
    """Solve z + mu softplus(z) = rho for z, elementwise; mu > -1.

    The left side is strictly increasing, so there is exactly one root. For mu >= 0 it is
    convex and close to three elementary curves: z = rho far to the left, z = rho / (1 + mu)
    far to the right, and z = log(expm1(u)) with u about (rho + log(1 + mu)) / (1 + mu)
    between. Their minimum is within 0.7 (1 + |z|) of the root for every rho and mu, and
    each fourth-order Householder step raises the error to about its fourth power: after the
    first it is below 3e-4, after the second below double precision, from mu = 0 to 1e100.
    A negative mu is reflected to a positive one by softplus(z) = z + softplus(-z).

    Not differentiable: `log_shift` carries the derivatives.
    """
    rho, mu = jnp.broadcast_arrays(jnp.asarray(rho), jnp.asarray(mu))
    negative = mu < 0
    sign = jnp.where(negative, -1.0, 1.0).astype(rho.dtype)
    scale = jnp.where(negative, 1 + mu, 1.0)
    z = sign * _convex_root(sign * rho / scale, jnp.abs(mu) / scale)
    # rho = -inf (no demand) has the exact root -inf, which the steps turn into NaN.
    return jnp.where(rho == -jnp.inf, rho, z)


def _convex_root(rho: jax.Array, mu: jax.Array) -> jax.Array:
    u = jnp.maximum(rho + jnp.log1p(mu), 0.5) / (1 + mu)
    middle = jnp.log(u) + 0.5 * u
    z = jnp.minimum(jnp.minimum(rho, rho / (1 + mu)), middle)
    for _ in range(2):
        z = _householder(z, rho, mu)
    return z


def _householder(z: jax.Array, rho: jax.Array, mu: jax.Array) -> jax.Array:
    """One step of fourth order for f(z) = z + mu softplus(z) - rho.

    With t = exp(-|z|), T = 1 + t and u = T sigmoid(z), the Newton step and the ratios of
    the second and third derivative to the first are polynomials over one common
    denominator, T (T + mu u): each division less is an array less to write for a batch.
    """
    t = jnp.exp(-jnp.abs(z))
    whole, u = 1 + t, jnp.where(z > 0, 1.0, t)
    slope = whole + mu * u
    inverse = 1 / (whole * slope)
    value = z + mu * (jnp.maximum(z, 0) + jnp.log1p(t)) - rho
    newton = value * whole * whole * inverse
    second = mu * t * inverse
    third = second * (whole - 2 * u) * slope * inverse
    bottom = 1 - newton * second + newton * newton * third / 6
    return z - newton * (1 - newton * second / 2) / bottom


def log_shift(pull: Number, offset: Number, mu: Number) -> jax.Array:
    """Solve y = mu log(1 + pull exp(offset - y)) for y, elementwise; pull >= 0, mu > -1.

    `softplus_root` with z = log(pull) + offset - y. In this form the equation is smooth
    down to and including pull = 0 (y = 0 there), so derivatives of every order, forward and
    reverse, with respect to all three arguments are finite at no demand as well.
    """

    def residual(y: jax.Array) -> jax.Array:
        return jnp.asarray(y - mu * jnp.log1p(pull * jnp.exp(offset - y)))

    def solve() -> jax.Array:
        z = softplus_root(jnp.log(pull) + offset, mu)
        return jnp.asarray(mu * jnp.log1p(jnp.exp(z)))

    return root(residual, solve)
