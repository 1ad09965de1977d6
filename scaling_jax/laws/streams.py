"""Parallel streams: one model read P times side by side, its answers put together."""

from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, Exponent, Floor, Number
from scaling_jax.laws.forms import LogLaw, Worth
from scaling_jax.laws.sourced import Sourced, Valid


class SizeOnly(LogLaw):
    """L(N) = E + (N_c / N)^alpha, where all models saw the same tokens: D is not read."""

    E: Floor
    N_c: Annotated[Number, POSITIVE.between(1e3, 1e12)]
    alpha: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:
        loss = self.E + jnp.exp(self.alpha * (jnp.log(self.N_c) - log_params))
        return jnp.broadcast_to(loss, jnp.broadcast_shapes(loss.shape, jnp.shape(log_tokens)))

    def log_params_for(self, loss: Number, log_tokens: Number) -> jax.Array:
        """Return log N = log N_c - log(L - E) / alpha."""
        return jnp.log(self.N_c) - jnp.log(loss - self.E) / self.alpha


class ParallelStreams(Worth):
    """N parameters read in P streams count for N (k log P + 1) under a law.

    Axis `parallel_streams`; N counts no embeddings, log is the natural logarithm.
    Source: ParScale (arXiv 2505.10475); N 0.5B-4.4B, P 1-8, D fixed. Status: confirmed with
    the authors' code and data; k here is of a refit.

    Example:
        >>> from scaling_jax.laws import load
        >>> print(f"{load('parscale2025-pile')(4.4145e9, 42e9, parallel_streams=8):.4f}")
        1.7785
    """

    k: Annotated[Number, POSITIVE.between(0.05, 1.0)]

    def log_worth(self, *, parallel_streams: Number) -> jax.Array:
        return jnp.log1p(self.k * jnp.log(parallel_streams))


def _parscale(corpus: str, E: float, A: float, alpha: float, k: float) -> Sourced:
    return Sourced(
        law=ParallelStreams(base=SizeOnly(E=E, N_c=A * 1e9, alpha=alpha), k=k),
        subject="streams",
        source=f"refit of the runs of ParScale (arXiv 2505.10475) on {corpus}",
        caveat="Reads the axis parallel_streams; N is without embeddings, and every model saw "
        "the same tokens: D is not read.",
        valid=Valid(params=(5e8, 4.5e9), axes={"parallel_streams": (1, 8)}),
    )


PUBLISHED: dict[str, Sourced] = {
    "parscale2025-pile": _parscale("the Pile", 1.288588, 0.197516, 0.196282, 0.334442),
    "parscale2025-python": _parscale(
        "Stack-V2 Python", 0.691207, 0.0113071, 0.189358, 0.393457
    ),
}
