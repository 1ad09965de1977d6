"""Vocabulary: how many token types a model of some size should know."""

import jax.numpy as jnp

from scaling_jax._pytree import Exponent, Number, Positive
from scaling_jax.laws.families import Chinchilla, PowerSum
from scaling_jax.laws.forms import PowerSumAt
from scaling_jax.laws.sourced import Sourced, Valid


class Tao(PowerSumAt):
    """L = -E + A / N^alpha + V / (vocab_size width)^nu + B / H^beta.

    N counts the parameters WITHOUT those of the vocabulary, and H, in the place of tokens,
    the training CHARACTERS; axes `vocab_size` and `width`. L is normalised by the unigram
    model of the vocabulary, so that vocabularies compare: it is negative.
    Source: Tao et al. 2024 (arXiv 2407.13623). Status: confirmed (R^2 .94 on its runs).

    Example:
        >>> from scaling_jax.laws import load
        >>> print(f"{load('tao2024')(3.3e7, 1e9, vocab_size=4096, width=512):.3f}")
        -2.905
    """

    E: Positive
    A: Positive
    alpha: Exponent
    V: Positive
    nu: Exponent
    B: Positive
    beta: Exponent

    def as_power_sum(self, *, vocab_size: Number, width: Number) -> PowerSum:
        table = jnp.log(vocab_size) + jnp.log(width)
        floor = jnp.exp(jnp.log(self.V) - self.nu * table) - self.E
        return Chinchilla(E=floor, A=self.A, alpha=self.alpha, B=self.B, beta=self.beta)


PUBLISHED: dict[str, Sourced] = {
    "tao2024": Sourced(
        law=Tao(
            E=5.53278468,
            # Printed for parameters in 1e6, characters in 1e9, width and vocabulary in 1e3.
            A=1.83138516 * 1e6**0.44660634,
            alpha=0.44660634,
            V=0.19584238 * 1e6**0.67073747,
            nu=0.67073747,
            B=2.12411231 * 1e9**0.44660634,
            beta=0.44660634,
        ),
        subject="vocabulary",
        source="Tao et al. 2024 (arXiv 2407.13623), the authors' code",
        caveat="Reads the axes vocab_size and width; params are without those of the "
        "vocabulary, tokens are CHARACTERS, and the loss is unigram-normalised: negative.",
        valid=Valid(params=(3.3e7, 1.13e9), axes={"vocab_size": (4096, 96_256)}),
    ),
}
