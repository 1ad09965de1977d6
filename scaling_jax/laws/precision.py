"""Few bits: in training, after training, and in between.

Every law of this subject belongs to one quantiser: its source says which.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import (
    EXPONENT,
    POSITIVE,
    Exponent,
    Fraction,
    Number,
    Positive,
    Real,
)
from scaling_jax.laws.families import Chinchilla, PowerSum, Tied
from scaling_jax.laws.forms import Damage, Worth
from scaling_jax.laws.sourced import Sourced, Valid

_Decay = Annotated[Number, POSITIVE.between(0.2, 5.0)]
_Steep = Annotated[Number, EXPONENT.between(0.5, 5.0)]
_Level = Annotated[Number, POSITIVE.between(1e-3, 1.0)]


class Kumar(Worth):
    """N parameters trained in P bits count for N f_w(P_w) f_a(P_a) f_kv(P_kv) under a law.

        f(P) = 1 - exp(-P / gamma + n)

    Axes: `train_bits`, and `train_activation_bits` and `train_kv_bits` where they differ. NaN
    at bits too few for any factor to be positive (weights .81, activations 3.11, KV cache
    2.32 bits). N counts no embeddings, L is in nats/token; integer types of 3 to 12 bits.
    The offsets n are part of the law: without them the best number of bits is 3.5, not 7 to 8.
    Source: Kumar et al. 2024 (arXiv 2411.04330), Table 2; N 30M-220M (checked to 1.7B),
    D 1.5B-26B. Status: confirmed. Their cost of training is 6 N D P / 16 FLOPs.

    Example:
        >>> from scaling_jax.laws import load
        >>> print(f"{load('kumar2024')(220e6, 26e9, train_bits=8):.4f}")
        3.2271
    """

    gamma_w: _Decay = 2.6745
    n_w: Real = 0.3037
    gamma_a: _Decay = 2.2102
    n_a: Real = 1.4072
    gamma_kv: _Decay = 0.9578
    n_kv: Real = 2.4185

    def log_worth(
        self,
        *,
        train_bits: Number,
        train_activation_bits: Number | None = None,
        train_kv_bits: Number | None = None,
    ) -> jax.Array:
        activations = train_bits if train_activation_bits is None else train_activation_bits
        cache = train_bits if train_kv_bits is None else train_kv_bits
        return (
            jnp.log1p(-jnp.exp(self.n_w - train_bits / self.gamma_w))
            + jnp.log1p(-jnp.exp(self.n_a - activations / self.gamma_a))
            + jnp.log1p(-jnp.exp(self.n_kv - cache / self.gamma_kv))
        )


class Quest(Worth):
    """N parameters trained in P bits count for N eff(P) under a law.

    Weights and activations have P bits (axis `train_bits`), eff is a table, and 1 at 16 bits;
    between its rows log eff is linear in P. N counts no embeddings, L is in nats/token.
    Here 4 bits are worth most per bit: a law of precision belongs to its quantiser.
    Source: QuEST (arXiv 2502.05003), the authors' notebook; C4, N 30M-800M. Status: confirmed.
    """

    eff_1: Fraction
    eff_2: Fraction
    eff_3: Fraction
    eff_4: Fraction
    eff_8: Positive

    def log_worth(self, *, train_bits: Number) -> jax.Array:
        bits = (1.0, 2.0, 3.0, 4.0, 8.0, 16.0)
        table = (self.eff_1, self.eff_2, self.eff_3, self.eff_4, self.eff_8, 1.0)
        logs = [jnp.log(each) for each in table]
        parts = [
            jnp.clip(train_bits - low, 0.0, high - low) * (after - before) / (high - low)
            for low, high, before, after in zip(bits, bits[1:], logs, logs[1:], strict=False)
        ]
        return sum(parts, start=logs[0])


class Capybara(Damage):
    """L(N, D) + (D^beta / N^alpha) log2(B) / (gamma (X + 1/2)^delta (M + 1/2)^nu).

    Floating-point training with X exponent and M mantissa bits, one scale for B numbers. L is
    E + A / N^alpha + B / D^beta, whose exponents the added term shares. Axes: `train_bits`
    (1 + X + M), `exponent_bits` (the best whole number where it is not given), `block_size`.
    More tokens than `falls_until` harm. L is in nats/token.
    Source: Sun et al. 2025 (arXiv 2501.02423), Table 2 and equation 26; 358 runs, N 41M-679M
    (checked at 1.2B, 7B, 70B). Status: confirmed; the printed data sizes need B = 128.
    """

    base: PowerSum
    gamma: Annotated[Number, POSITIVE.between(10.0, 1e6)]
    delta: _Steep
    nu: _Steep

    def best_exponent_bits(self, train_bits: Number) -> jax.Array:
        """Return the whole X that is best for 1 + X + M bits: E2M1, E3M2, E4M3, E8M7."""
        return jnp.round(train_bits * self.delta / (self.delta + self.nu) - 0.5)

    def log_damage(
        self,
        log_params: Number,
        log_tokens: Number,
        *,
        train_bits: Number,
        exponent_bits: Number | None = None,
        block_size: Number = 128.0,
    ) -> Number:
        exponent = (
            self.best_exponent_bits(train_bits) if exponent_bits is None else exponent_bits
        )
        mantissa = train_bits - 1 - exponent
        t = self.base.terms()
        kept = self.delta * jnp.log(exponent + 0.5) + self.nu * jnp.log(mantissa + 0.5)
        size = t.beta * log_tokens - t.alpha * log_params
        return size + jnp.log(jnp.log(block_size) / math.log(2)) - jnp.log(self.gamma) - kept

    def damage_exponent(self) -> Number:
        return self.base.terms().beta


class PostTrainingQuantised(Damage):
    """L(N, D) + C_T D^gamma_D / N^gamma_N exp(-P / gamma_P), P bits after training.

    The modifier of a model that is trained in many bits and served in few, axis `serve_bits`:
    the longer it was trained, the more is lost. More tokens than `falls_until` harm. Around
    `Kumar`, N is what the parameters count for. L is in nats/token.
    Source: Kumar et al. 2024 (arXiv 2411.04330), Table 2, for GPTQ on integers of 3 to 8 bits;
    N 30M-220M, D 1.5B-26B. Status: confirmed, but for their factor that brings the loss to
    zero where serve_bits nears the bits of training: its constants are not printed.

    Example:
        >>> from scaling_jax.laws import HOFFMANN_2022
        >>> served = PostTrainingQuantised(base=HOFFMANN_2022)
        >>> print(f"{served(8e9, 15e12, serve_bits=4) - HOFFMANN_2022(8e9, 15e12):.3f}")
        0.128
    """

    C_T: _Level = 0.0598
    gamma_D: Exponent = 0.5068
    gamma_N: Exponent = 0.3439
    gamma_P: _Decay = 0.5907

    def log_damage(
        self, log_params: Number, log_tokens: Number, *, serve_bits: Number
    ) -> Number:
        grown = self.gamma_D * log_tokens - self.gamma_N * log_params
        return jnp.log(self.C_T) + grown - serve_bits / self.gamma_P

    def damage_at(
        self, log_params: Number, log_tokens: Number, axes: Mapping[str, Any]
    ) -> Number:
        if isinstance(self.base, Worth):
            log_params = log_params + self.base.worth_at(axes)
        return super().damage_at(log_params, log_tokens, axes)

    def damage_exponent(self) -> Number:
        return self.gamma_D


class QuantisationAware(Damage):
    """L(N, D) + k D^gamma_D (log2 G)^gamma_G / N^gamma_N, G weights to one scale.

    Quantisation-aware training to a fixed number of bits, axis `group_size`; each number of
    bits has coefficients of its own. More tokens than `falls_until` harm. L is in nats/token.
    Source: Chen et al. 2025 (arXiv 2505.14302), Table 1; 268 runs, N 74M-595M (checked at
    973M), D 10B-200B. Status: confirmed.
    """

    k: _Level
    gamma_N: Exponent
    gamma_D: Exponent
    gamma_G: Exponent

    def log_damage(
        self, log_params: Number, log_tokens: Number, *, group_size: Number
    ) -> Number:
        group = self.gamma_G * jnp.log(jnp.log(group_size) / math.log(2))
        grown = self.gamma_D * log_tokens - self.gamma_N * log_params
        return jnp.log(self.k) + grown + group

    def damage_exponent(self) -> Number:
        return self.gamma_D


_KUMAR_BASE = Chinchilla(E=2.7648, A=4.299e3, alpha=0.4965, B=1.806e4, beta=0.4965)
_KUMAR_RUNS = Valid(params=(3e7, 2.2e8), tokens=(1.5e9, 2.6e10))
_KUMAR = "Kumar et al. 2024 (arXiv 2411.04330), Table 2"
_CHEN_BASE = Tied(E=1.9279, A=237.7042, B=596.2490, alpha=0.3022)
_QUEST_BASE = Chinchilla(E=0.00142, A=8.13403, alpha=0.0627265, B=86.4119, beta=0.2412884)


def _chen(bits: str, k: float, gamma_N: float, gamma_D: float, gamma_G: float) -> Sourced:
    return Sourced(
        law=QuantisationAware(
            base=_CHEN_BASE, k=k, gamma_N=gamma_N, gamma_D=gamma_D, gamma_G=gamma_G
        ),
        subject="precision",
        source=f"Chen et al. 2025 (arXiv 2505.14302), Table 1, {bits}",
        caveat="Reads the axis group_size; quantisation-aware training with one scale to a "
        "group.",
        valid=Valid(
            params=(7.4e7, 5.95e8), tokens=(1e10, 2e11), axes={"group_size": (32, 256)}
        ),
    )


def _quest(quantiser: str, *eff: float) -> Sourced:
    names = ("eff_1", "eff_2", "eff_3", "eff_4", "eff_8")
    return Sourced(
        law=Quest(base=_QUEST_BASE, **dict(zip(names, eff, strict=True))),
        subject="precision",
        source=f"QuEST (arXiv 2502.05003), the authors' notebook, {quantiser}",
        caveat="Reads the axis train_bits, of weights and activations; N is without "
        "embeddings. The floor is near zero: extrapolate with care.",
        valid=Valid(params=(3e7, 8e8), axes={"train_bits": (1, 16)}),
    )


PUBLISHED: dict[str, Sourced] = {
    "kumar2024": Sourced(
        law=Kumar(base=_KUMAR_BASE),
        subject="precision",
        source=_KUMAR,
        caveat="Reads the axis train_bits; N is without embeddings.",
        valid=_KUMAR_RUNS._replace(axes={"train_bits": (3, 16)}),
    ),
    "kumar2024-served": Sourced(
        law=PostTrainingQuantised(base=Kumar(base=_KUMAR_BASE)),
        subject="precision",
        source=_KUMAR,
        caveat="Reads the axes train_bits and serve_bits; N is without embeddings. For "
        "serve_bits well below train_bits: what would bring the added loss to zero where they "
        "are equal is not printed.",
        valid=_KUMAR_RUNS._replace(axes={"train_bits": (3, 16), "serve_bits": (3, 8)}),
    ),
    "quest2025": _quest(
        "with the Hadamard transform", 0.0205047, 0.151871, 0.433126, 0.691832, 1.01619
    ),
    "quest2025-no-hadamard": _quest(
        "without the Hadamard transform", 0.0156, 0.0784, 0.3221, 0.6033, 0.9376
    ),
    "sun2025": Sourced(
        law=Capybara(
            base=Chinchilla(E=1.9061, A=69.2343, alpha=0.2368, B=68973.0621, beta=0.5162),
            gamma=11334.5197,
            delta=3.1926,
            nu=2.9543,
        ),
        subject="precision",
        source="Sun et al. 2025 (arXiv 2501.02423), Table 2 and equation 26",
        caveat="Reads the axis train_bits, a sign with exponent and mantissa bits, and may "
        "read exponent_bits and block_size (128 where it is not given).",
        valid=Valid(params=(4.1e7, 6.79e8)),
    ),
    "chen2025-w4a4": _chen("W4A4", 0.1582, 0.2186, 0.0745, 0.7779),
    "chen2025-w4a16": _chen("W4A16", 0.2522, 0.3589, 0.1610, 0.3533),
    "chen2025-w16a4": _chen("W16A4", 0.1004, 0.1816, 0.0331, 0.9812),
}
