"""Sparsity: what weights that are zero leave."""

from typing import Annotated

import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, Exponent, Floor, Number, Positive
from scaling_jax.laws.families import Chinchilla, PowerSum
from scaling_jax.laws.forms import PowerSumAt
from scaling_jax.laws.sourced import Sourced


class Frantar(PowerSumAt):
    """L = (a_S (1 - S)^b_S + c_S) / N^b_N + (a_D / D)^b_D + c, a share S of weights zero.

    N counts the weights that are not zero; axis `sparsity`, S in [0, 1).
    Source: Frantar et al. 2023 (arXiv 2309.08520); the T5/C4 set, L in nats/token.
    Status: second-hand, two transcriptions agree.
    """

    a_S: Positive
    b_S: Exponent
    c_S: Positive
    b_N: Exponent
    a_D: Annotated[Number, POSITIVE.between(1e6, 1e11)]
    b_D: Exponent
    c: Floor

    def as_power_sum(self, *, sparsity: Number) -> PowerSum:
        return Chinchilla(
            E=self.c,
            A=self.a_S * jnp.exp(self.b_S * jnp.log1p(-sparsity)) + self.c_S,
            alpha=self.b_N,
            B=jnp.exp(self.b_D * jnp.log(self.a_D)),
            beta=self.b_D,
        )


PUBLISHED: dict[str, Sourced] = {
    "frantar2023": Sourced(
        law=Frantar(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651),
        subject="sparsity",
        source="Frantar et al. 2023 (arXiv 2309.08520), T5 on C4",
        caveat="Second-hand. Reads the axis sparsity; N counts the weights that are not zero.",
    ),
}
