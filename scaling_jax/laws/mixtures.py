"""Several laws at once: the weighted mean of what they say."""

import jax
import jax.numpy as jnp

from scaling_jax._axes import call_law
from scaling_jax._pytree import NonNegative, Number
from scaling_jax.laws.families import Law


class Mixture(Law):
    """L(N, D) = sum_i w_i L_i(N, D) / sum_i w_i.

    The laws may be of several families; each is given the axes that it reads.

    Example:
        >>> from scaling_jax.laws import BESIROGLU_2024, HOFFMANN_2022
        >>> both = Mixture(laws=(HOFFMANN_2022, BESIROGLU_2024), weights=(1.0, 3.0))
        >>> print(f"{both(70e9, 1.4e12):.4f}")
        1.9635
    """

    laws: tuple[Law, ...]
    weights: tuple[NonNegative, ...]

    def loss(self, params: Number, tokens: Number, **axes: Number) -> jax.Array:
        """Return the weighted mean of the losses."""
        losses = [call_law(law, params, tokens, **axes) for law in self.laws]
        total = sum(self.weights[1:], start=jnp.asarray(self.weights[0]))
        parts = [weight * each for weight, each in zip(self.weights, losses, strict=True)]
        return sum(parts[1:], start=jnp.asarray(parts[0])) / total

    def falls_until(self, params: Number, **axes: Number) -> Number:
        """Return up to which tokens every law falls."""
        ends = [law.falls_until(params, **axes) for law in self.laws]
        return jnp.min(jnp.stack([jnp.broadcast_to(end, jnp.shape(params)) for end in ends]), 0)
