"""Repeated data: what further epochs over the same tokens are worth."""

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number, Positive
from scaling_jax.laws.families import Law, PowerSum, optimal_log_params


class Repeated(Law):
    """L(N', D') of a base law, with N' and D' what N and D count for on U unique tokens.

        D' = U_D (1 + R_D (1 - exp(-(D / U_D - 1) / R_D))),   U_D = min(D, U)
        N' = U_N (1 + R_N (1 - exp(-(N / U_N - 1) / R_N))),   U_N = min(N, N_opt(U))

    U is the axis `unique_tokens`, and N_opt(U) the size for which U tokens are compute-optimal
    under the base law. With U beyond all need it is the base law. The loss falls towards a
    floor in D and in N: repeats and parameters are worth less and less, but never harm.
    Source: Muennighoff et al. 2023 (arXiv 2305.16264), R_D = 15.387756, R_N = 5.309743.

    Example:
        >>> from scaling_jax.laws import MUENNIGHOFF_2023
        >>> print(f"{MUENNIGHOFF_2023(6.34e9, 242e9, unique_tokens=25e9):.6f}")
        2.225644
    """

    base: PowerSum
    R_D: Positive
    R_N: Positive

    def loss(self, params: Number, tokens: Number, *, unique_tokens: Number) -> jax.Array:
        """Return the loss of N parameters trained on D tokens, U of them distinct."""
        given = as_floats(params=params, tokens=tokens, unique_tokens=unique_tokens)
        n, d, u = map(jnp.log, given)
        return self.loss_at_log(n, d, unique_tokens=jnp.exp(u))

    def loss_at_log(
        self, log_params: Number, log_tokens: Number, *, unique_tokens: Number
    ) -> jax.Array:
        """Return the loss from log N and log D."""
        fresh, size = self._knees(unique_tokens)
        return self.base.loss_at_log(
            _worth(log_params, size, self.R_N), _worth(log_tokens, fresh, self.R_D)
        )

    def log_params_for(
        self, loss: Number, log_tokens: Number, *, unique_tokens: Number
    ) -> jax.Array:
        """Return log N that reaches a loss; NaN where the size is worth no more."""
        fresh, size = self._knees(unique_tokens)
        worth = self.base.log_params_for(loss, _worth(log_tokens, fresh, self.R_D))
        return _needed(worth, size, self.R_N)

    def log_tokens_for(
        self, loss: Number, log_params: Number, *, unique_tokens: Number
    ) -> jax.Array:
        """Return log D that reaches a loss; NaN where repeats are worth no more."""
        fresh, size = self._knees(unique_tokens)
        worth = self.base.log_tokens_for(loss, _worth(log_params, size, self.R_N))
        return _needed(worth, fresh, self.R_D)

    def _knees(self, unique_tokens: Number) -> tuple[jax.Array, jax.Array]:
        """Return log U and log N_opt(U), from where on tokens and parameters are worth less."""
        log_unique = jnp.log(unique_tokens)
        return log_unique, optimal_log_params(self.base.terms(), log_unique)


def _worth(log_x: Number, log_knee: Number, decay: Number) -> jax.Array:
    """Return the log of what x counts for: U (1 + R (1 - exp(-(x / U - 1) / R))) above U."""
    beyond = jnp.maximum(log_x - log_knee, 0.0)
    gain = -decay * jnp.expm1(-jnp.expm1(beyond) / decay)
    return jnp.minimum(log_x, log_knee) + jnp.log1p(gain)


def _needed(log_worth: Number, log_knee: Number, decay: Number) -> jax.Array:
    """Return the inverse of `_worth`: NaN where nothing counts for so much."""
    gain = jnp.expm1(jnp.maximum(log_worth - log_knee, 0.0))
    inside = gain < decay
    share = jnp.where(inside, gain / decay, 0.0)  # finite derivatives beyond
    needed = jnp.minimum(log_worth, log_knee) + jnp.log1p(-decay * jnp.log1p(-share))
    return jnp.where(inside, needed, jnp.nan)
