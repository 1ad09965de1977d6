"""Shape: what width and depth do to the loss at one size."""

from typing import Annotated

import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, Exponent, Floor, Number, Positive
from scaling_jax.laws.families import Chinchilla, PowerSum, Tied
from scaling_jax.laws.forms import PowerSumAt, Seen
from scaling_jax.laws.sourced import Sourced, Valid


class Shaped(Seen):
    """L(N, D) (1 + epsilon R^gamma) of a law, R = width / depth.

    Axes `width` and `depth`: the wider at one size, the worse. N counts all parameters, L is
    in nats/token.
    Source: Bian et al. 2025 (arXiv 2501.18107), whose code ties gamma to the exponents of the
    law. Status: form confirmed.
    """

    epsilon: Annotated[Number, POSITIVE.between(1e-5, 0.1)]
    gamma: Exponent

    def seen(self, loss: Number, *, width: Number, depth: Number) -> Number:
        return loss * self._factor(width, depth)

    def unseen(self, value: Number, *, width: Number, depth: Number) -> Number:
        return value / self._factor(width, depth)

    def _factor(self, width: Number, depth: Number) -> Number:
        log_ratio = jnp.log(width) - jnp.log(depth)
        return 1 + self.epsilon * jnp.exp(self.gamma * log_ratio)


class Gemstones(PowerSumAt):
    """L = E + W / width^omega + H / depth^eta + A / N^alpha + B / D^beta.

    Axes `width` and `depth`; N counts all parameters, L is in nats/token. Without published
    coefficients: fit it.
    Source: Gemstones (arXiv 2502.06857). Status: form confirmed.
    """

    E: Floor
    W: Positive
    omega: Exponent
    H: Positive
    eta: Exponent
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent

    def as_power_sum(self, *, width: Number, depth: Number) -> PowerSum:
        wide = jnp.exp(jnp.log(self.W) - self.omega * jnp.log(width))
        deep = jnp.exp(jnp.log(self.H) - self.eta * jnp.log(depth))
        return Chinchilla(
            E=self.E + wide + deep, A=self.A, alpha=self.alpha, B=self.B, beta=self.beta
        )


PUBLISHED: dict[str, Sourced] = {
    "bian2025": Sourced(
        law=Shaped(
            base=Tied(E=2.558449, A=1.1108e5, B=1.8348e6, alpha=0.656792),
            epsilon=0.00093249,
            gamma=0.656792,
        ),
        subject="shape",
        source="refit of the 35 runs of Bian et al. 2025 (arXiv 2501.18107), in their form",
        caveat="Reads the axes width and depth. It predicts the paper's four models of 1B "
        "parameters 2.3 to 2.9 % too high, in the right order.",
        valid=Valid(
            params=(7.7e7, 3.13e8),
            tokens=(1.6e9, 4.94e10),
            axes={"width": (384, 1408), "depth": (3, 24)},
        ),
    ),
}
