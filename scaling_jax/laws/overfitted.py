"""Repeated data that harm: a penalty for a model too large for what it sees again."""

from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, Exponent, Number
from scaling_jax.laws.families import Law
from scaling_jax.laws.forms import LogLaw, read_by, turning_tokens


class Overfitted(LogLaw):
    """L(N, D) + P R^delta (N / U)^kappa of a law, R = max(D / U - 1, 0) repeats of U tokens.

    Axis `unique_tokens`, U. Unlike `Repeated` it can RISE: in D beyond `falls_until`, and in N,
    so that of the sizes that reach a loss inversions return the smallest only where the loss
    still falls. Without published coefficients: fit it.
    Source: Lovelace et al. 2026 (arXiv 2605.01640), around a Chinchilla law; N 15M-1B, U
    50M-6B. Status: form confirmed.
    """

    base: Law
    P: Annotated[Number, POSITIVE.between(1e-6, 1.0)]
    delta: Exponent
    kappa: Exponent

    def loss_at_log(
        self, log_params: Number, log_tokens: Number, *, unique_tokens: Number, **axes: Number
    ) -> jax.Array:
        axes = axes | {"unique_tokens": unique_tokens}
        loss = self.base.loss_at_log(log_params, log_tokens, **read_by(self.base, axes))
        log_unique = jnp.log(unique_tokens)
        repeats = jnp.expm1(log_tokens - log_unique)
        some = repeats > 0
        log_repeats = jnp.log(jnp.where(some, repeats, 1.0))
        scale = jnp.log(self.P) + self.kappa * (log_params - log_unique)
        return loss + jnp.where(some, jnp.exp(scale + self.delta * log_repeats), 0.0)

    def falls_until(self, params: Number, *, unique_tokens: Number, **axes: Number) -> Number:
        """Return D at which a repeat harms as much as it helps; U where delta < 1."""
        axes = axes | {"unique_tokens": unique_tokens}
        smooth = turning_tokens(self, params, **axes)
        return jnp.where(self.delta < 1, unique_tokens, smooth)
