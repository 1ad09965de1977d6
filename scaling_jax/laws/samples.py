"""Samples: many answers of one model at test time."""

from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, REAL, Exponent, Fraction, Number, Real
from scaling_jax.laws.forms import Seen

# Beyond e^±20 the answers to a question are all alike, or none is like another.
_LOG_CONCENTRATION = 20.0


class Samples(Seen):
    """L(N, D) + G / k^gamma of a law, k answers drawn per question.

    Axis `samples`. The floor of the law is then that of endless answers: at k = 1 the term is
    part of what a law without it calls E. No coefficients are published.
    Source: T^2, Roberts et al. 2026 (arXiv 2604.01411). Status: form confirmed.
    """

    G: Annotated[Number, POSITIVE.between(0.01, 3.0)]
    gamma: Exponent

    def seen(self, loss: Number, *, samples: Number) -> Number:
        return loss + self._term(samples)

    def unseen(self, value: Number, *, samples: Number) -> Number:
        return value - self._term(samples)

    def _term(self, samples: Number) -> jax.Array:
        return jnp.exp(jnp.log(self.G) - self.gamma * jnp.log(samples))


def pass_at_k(mean: Number, concentration: Number, samples: Number) -> jax.Array:
    """Return the chance that one of k answers is right, over questions of all difficulties.

    The chance of one answer is Beta(mu nu, (1 - mu) nu) over questions, so that
    pass@k = 1 - B(mu nu, (1 - mu) nu + k) / B(mu nu, (1 - mu) nu), and pass@1 = mu.

    Example:
        >>> print(f"{pass_at_k(0.3, 2.0, 10.0):.4f} {pass_at_k(0.3, 2.0, 100.0):.4f}")
        0.7355 0.9294
    """
    return -jnp.expm1(_log_failure(mean, concentration, samples))


def _log_failure(mean: Number, concentration: Number, samples: Number) -> jax.Array:
    right, wrong = mean * concentration, (1 - mean) * concentration
    wrong = jnp.maximum(wrong, 1e-20)  # where gamma has its pole
    return _log_gamma_ratio(wrong + samples, right) - _log_gamma_ratio(wrong, right)


def _log_gamma_ratio(x: Number, a: Number) -> jax.Array:
    """Return log(Gamma(x) / Gamma(x + a)): eight steps up, then Stirling's series.

    The difference of two log-gammas has no digits left in float32 where x is large, and their
    derivatives take minutes to compile.
    """
    steps = [jnp.log1p(a / (x + step)) for step in range(8)]
    low, high = x + 8, x + 8 + a
    series = _beyond_stirling(low) - _beyond_stirling(high)
    ratio = series - (low - 0.5) * jnp.log1p(a / low) - a * (jnp.log(high) - 1)
    return sum(steps, start=ratio)


def _beyond_stirling(x: Number) -> jax.Array:
    """Return log Gamma(x) less (x - 1/2) log(x) - x + log(2 pi) / 2, for x from 8 on."""
    y = 1 / (x * x)
    terms = 1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))
    return jnp.asarray(terms / x)


class PassAtK(Seen):
    """1 - pass@k, the share of questions that k answers leave unsolved.

        mu = theta2 / (1 + exp(theta1 (L - theta0))),   nu = exp(theta3 + theta4 L)

    with L the loss of a law and `pass_at_k` of mean mu and concentration nu; axis `samples`.
    It is planned for as a loss is: `loss=0.2` asks for pass@k of 80 %. It falls in k; in L it
    rises where nu does not change too fast. No coefficients are published.
    Source: T^2, Roberts et al. 2026 (arXiv 2604.01411). Status: form confirmed.
    """

    theta0: Annotated[Number, REAL.between(1.0, 5.0)]
    theta1: Annotated[Number, POSITIVE.between(0.3, 10.0)]
    theta2: Fraction
    theta3: Real
    theta4: Real

    def seen(self, loss: Number, *, samples: Number) -> Number:
        mean = self.theta2 * jax.nn.sigmoid(-self.theta1 * (loss - self.theta0))
        log_nu = jnp.clip(
            self.theta3 + self.theta4 * loss, -_LOG_CONCENTRATION, _LOG_CONCENTRATION
        )
        return jnp.exp(_log_failure(mean, jnp.exp(log_nu), samples))
