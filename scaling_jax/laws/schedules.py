"""Schedules: steps, batches and learning rates."""

from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import POSITIVE, Exponent, Floor, Number, Positive, Record
from scaling_jax.laws.families import Chinchilla, PowerSum
from scaling_jax.laws.forms import PowerSumAt
from scaling_jax.laws.sourced import Sourced, Valid
from scaling_jax.solve import increasing_root


class KaplanSteps(PowerSumAt):
    """L = (N_c / N)^alpha_N + (S_c / S)^alpha_S,   S = D / batch_tokens optimiser steps.

    Axis `batch_tokens`, far above the critical batch, so that S are the fewest steps. N counts
    no embeddings, L is in nats/token, and the law has no floor.
    Source: Kaplan et al. 2020 (arXiv 2001.08361), equation 1.6. Status: second-hand.
    """

    N_c: Annotated[Number, POSITIVE.between(1e6, 1e16)]
    alpha_N: Exponent
    S_c: Annotated[Number, POSITIVE.between(10.0, 1e6)]
    alpha_S: Exponent

    def as_power_sum(self, *, batch_tokens: Number) -> PowerSum:
        return Chinchilla(
            E=0.0,
            A=jnp.exp(self.alpha_N * jnp.log(self.N_c)),
            alpha=self.alpha_N,
            B=jnp.exp(self.alpha_S * (jnp.log(self.S_c) + jnp.log(batch_tokens))),
            beta=self.alpha_S,
        )


class Schaipp(PowerSumAt):
    """L = E + A / N^alpha + B / M^beta + C / K^gamma,   M K = D: batches of M tokens, K steps.

    Axis `batch_tokens`, M. Of all batches one is best: larger ones leave too few steps.
    Source: Schaipp et al. 2026 (arXiv 2607.01487); 246 runs, N 50M-1B, D from 2B. Status: form
    confirmed, coefficients are not: fit it. For its best batch see `rules.RULES`.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    C: Positive
    gamma: Exponent

    def as_power_sum(self, *, batch_tokens: Number) -> PowerSum:
        log_batch = jnp.log(batch_tokens)
        return Chinchilla(
            E=self.E + jnp.exp(jnp.log(self.B) - self.beta * log_batch),
            A=self.A,
            alpha=self.alpha,
            B=jnp.exp(jnp.log(self.C) + self.gamma * log_batch),
            beta=self.gamma,
        )

    def best_batch(self, tokens: Number) -> jax.Array:
        """Return the M of least loss: (beta B D^gamma / (gamma C))^(1 / (beta + gamma))."""
        (tokens,) = as_floats(tokens=tokens)
        return jnp.exp(self._log_best(jnp.log(tokens)))

    def batch_interval(
        self, tokens: Number, extra_tokens: Number = 0.05
    ) -> tuple[jax.Array, jax.Array]:
        """Return the smallest and largest M that, for so many more tokens, are as good as the
        best one: the batches that cost at most 5 % more compute.
        """
        tokens, extra_tokens = as_floats(tokens=tokens, extra_tokens=extra_tokens)
        log_tokens = jnp.log(tokens)
        more = log_tokens + jnp.log1p(extra_tokens)
        best = self._of_batch(self._log_best(log_tokens), log_tokens)
        middle = self._log_best(more)
        small = increasing_root(lambda m: best - self._of_batch(m, more), 0.0, middle)
        large = increasing_root(lambda m: self._of_batch(m, more) - best, middle, more)
        return jnp.exp(small), jnp.exp(large)

    def _log_best(self, log_tokens: Number) -> jax.Array:
        help_ = jnp.log(self.beta) + jnp.log(self.B)
        harm = jnp.log(self.gamma) + jnp.log(self.C)
        return (help_ - harm + self.gamma * log_tokens) / (self.beta + self.gamma)

    def _of_batch(self, log_batch: Number, log_tokens: Number) -> jax.Array:
        noise = jnp.exp(jnp.log(self.B) - self.beta * log_batch)
        return noise + jnp.exp(jnp.log(self.C) + self.gamma * (log_batch - log_tokens))


class MultiPower(Record):
    """The loss along any schedule of learning rates lr_1, lr_2, ... of one model.

        L(t) = L0 + A / S(t)^alpha
             + B sum_k (lr_k - lr_(k-1)) (1 - (1 + C (S(t) - S(k-1)) / lr_k^gamma)^-beta)

    S is the sum of learning rates from the first step on, the warm-up included, and lr_0 = 0:
    the rise of the warm-up is part of the sum. Losses are in nats/token.
    Source: Luo et al. 2025 (arXiv 2503.12811) and their code; N 25M, 100M, 400M.
    Status: confirmed.
    """

    L0: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    C: Positive
    beta: Exponent
    gamma: Exponent

    def __call__(self, learning_rates: Number, steps: Number | None = None) -> jax.Array:
        """Return the losses after `steps` steps (whole numbers), or after the last one.

        Args:
            learning_rates: of each step from the first on, shape (T,).
            steps: after which steps, any shape; the last where it is not given.

        Example:
            >>> import numpy as np
            >>> law = MULTI_POWER["luo2025-100m"].law
            >>> warm = np.minimum(np.arange(1, 24001) / 2160, 1.0)
            >>> constant, linear = 3e-4 * warm, 3e-4 * warm * np.linspace(1, 0.1, 24000)
            >>> print(f"{law(constant):.3f} {law(linear):.3f}")
            3.033 3.002
        """
        (rates,) = as_floats(learning_rates=learning_rates)
        changes = jnp.diff(rates, prepend=jnp.zeros_like(rates[:1]))
        # 1e-30 stands for a rate of zero, with which nothing more is learnt.
        scale = self.C * jnp.exp(-self.gamma * jnp.log(jnp.maximum(rates, 1e-30)))
        sums, index = jnp.cumsum(rates), jnp.arange(1, rates.size + 1)

        def after(step: jax.Array) -> jax.Array:
            total = sums[step - 1]
            since = jnp.maximum(total - (sums - rates), 0.0)
            gained = -jnp.expm1(-self.beta * jnp.log1p(scale * since))
            annealed = jnp.sum(jnp.where(index <= step, changes * gained, 0.0))
            power = jnp.exp(jnp.log(self.A) - self.alpha * jnp.log(total))
            return jnp.asarray(self.L0 + power + self.B * annealed)

        at = jnp.asarray(rates.size if steps is None else steps)
        return jax.lax.map(after, at.ravel()).reshape(at.shape)


def _luo(name: str, *coefficients: float) -> Sourced:
    names = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
    return Sourced(
        law=MultiPower(**dict(zip(names, coefficients, strict=True))),
        subject="schedules",
        source=f"Luo et al. 2025 (arXiv 2503.12811), the authors' code, {name}",
        caveat="Peak 3e-4, end 3e-5, 2160 steps of warm-up: other peaks are not covered.",
    )


MULTI_POWER: dict[str, Sourced] = {
    "luo2025-25m": _luo(
        "25M",
        3.04045406,
        0.52468604,
        0.50786857,
        363.78751622,
        2.06560812,
        0.58279013,
        0.64142257,
    ),
    "luo2025-100m": _luo(
        "100M",
        2.6514477,
        0.60115152,
        0.45295811,
        437.9464276,
        2.13245612,
        0.59785199,
        0.65523644,
    ),
    "luo2025-400m": _luo(
        "400M",
        2.37474466,
        0.65421216,
        0.42878731,
        523.42464371,
        2.02462735,
        0.59350493,
        0.63472457,
    ),
}

PUBLISHED: dict[str, Sourced] = {
    "kaplan2020-steps": Sourced(
        law=KaplanSteps(N_c=6.5e13, alpha_N=0.077, S_c=2.1e3, alpha_S=0.76),
        subject="schedules",
        source="Kaplan et al. 2020 (arXiv 2001.08361), Table 3",
        caveat="Second-hand. Reads the axis batch_tokens, far above the critical batch; params "
        "are without embeddings.",
        valid=Valid(params=(768, 1.5e9)),
    ),
}
