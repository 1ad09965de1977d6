"""Distillation: a student that learns from the outputs of a teacher."""

from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, Exponent, Number, Positive
from scaling_jax.laws.families import Coupled, Law
from scaling_jax.laws.forms import LogLaw, read_by
from scaling_jax.laws.sourced import Sourced, Valid


class Distilled(LogLaw):
    """L = L_T + L_T^-c0 (1 + (L_T / (L_S d1))^(1 / f1))^(-c1 f1) (A / N^alpha + B / D^beta)^k.

    The loss of a student, L_S = base(N, D) being what it reaches without a teacher; axis
    `teacher_loss`, L_T in nats/token. It falls in N and D towards L_T. A better teacher helps
    only up to a point, from where on the student cannot follow. N counts no embeddings.
    Source: Busbridge et al. 2025 (arXiv 2502.08606), equation 8 and Table 6; 697 runs, N
    143M-12.6B, C4. Status: confirmed.

    Example:
        >>> from scaling_jax.laws import load
        >>> print(f"{load('busbridge2025-distilled')(1e9, 2e10, teacher_loss=2.2):.4f}")
        2.3170
    """

    base: Law
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    k: Exponent
    c0: Annotated[Number, POSITIVE.between(0.5, 5.0)]
    c1: Annotated[Number, POSITIVE.between(1.0, 1000.0)]
    f1: Annotated[Number, POSITIVE.between(0.02, 1.0)]
    d1: Annotated[Number, POSITIVE.between(0.7, 2.0)]

    def loss_at_log(
        self, log_params: Number, log_tokens: Number, *, teacher_loss: Number, **axes: Number
    ) -> jax.Array:
        alone = self.base.loss_at_log(log_params, log_tokens, **read_by(self.base, axes))
        log_teacher = jnp.log(teacher_loss)
        beyond = log_teacher - jnp.log(alone) - jnp.log(self.d1)
        size = jnp.log(self.A) - self.alpha * log_params
        data = jnp.log(self.B) - self.beta * log_tokens
        gap = jnp.exp(
            -self.c0 * log_teacher
            - self.c1 * self.f1 * jax.nn.softplus(beyond / self.f1)
            + self.k * jnp.logaddexp(size, data)
        )
        return jnp.asarray(teacher_loss + gap)


_SUPERVISED = Coupled(E=1.220, A=3355.0, alpha=0.408, B=18186.0, beta=0.431, k=0.452)
_SOURCE = "Busbridge et al. 2025 (arXiv 2502.08606), Table 6"
# The fewest tokens are not printed.
_RUNS = Valid(params=(1.43e8, 1.26e10), tokens=(0.0, 5.12e11))

PUBLISHED: dict[str, Sourced] = {
    "busbridge2025": Sourced(
        law=_SUPERVISED,
        subject="size and data",
        source=f"{_SOURCE}, supervised",
        caveat="N is without embeddings. 90 % interval of E: 1.190 to 1.247, of 73 runs.",
        valid=_RUNS,
    ),
    "busbridge2025-distilled": Sourced(
        law=Distilled(
            base=_SUPERVISED,
            A=2243.0,
            alpha=0.321,
            B=24181.0,
            beta=0.637,
            k=0.764,
            c0=2.549,
            c1=522.6,
            f1=0.090,
            d1=1.315,
        ),
        subject="distillation",
        source=f"{_SOURCE}, distilled",
        caveat="Reads the axis teacher_loss; N is without embeddings. A better teacher may "
        "harm a small student.",
        valid=_RUNS,
    ),
}
