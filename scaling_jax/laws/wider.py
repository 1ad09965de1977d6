"""Further families, to hold against our own: each bends the plane of powers otherwise.

In all of them N counts all parameters, D training tokens, and L is in nats per token, as in
`Chinchilla`. Formulas are evaluated in logarithms, which float32 holds whatever the scales.
None has published coefficients here: fit them.
"""

import abc
from typing import Annotated

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import POSITIVE, REAL, Exponent, Floor, Number, Positive, Real
from scaling_jax.laws.families import Law, PowerSum, Terms

# Coefficients of a stretched exponential in N, which beyond such bounds is a step at one size.
_Bend = Annotated[Number, REAL.within(-0.5, 0.5)]
_Slope = Annotated[Number, REAL.between(-2.0, 2.0)]


class _LogLaw(Law):
    """A law that is written in log N and log D."""

    def loss(self, params: Number, tokens: Number) -> jax.Array:  # pyright: ignore
        params, tokens = as_floats(params=params, tokens=tokens)
        return self.loss_at_log(jnp.log(params), jnp.log(tokens))

    @abc.abstractmethod
    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        """Return the loss from log N and log D."""


class DriftingRatio(_LogLaw):
    """L(N, D) = E + A / N^alpha + B / (D / N)^(beta + gamma log N).

    The exponent of tokens per parameter drifts with size, log the natural logarithm. At
    gamma = 0 it is `ScaledRatio` with one exponent less.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Annotated[Number, REAL.between(0.0, 1.5)]
    gamma: Annotated[Number, REAL.between(-0.1, 0.1)]

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        ratio, exponent = log_tokens - log_params, self.beta + self.gamma * log_params
        size = jnp.exp(jnp.log(self.A) - self.alpha * log_params)
        return jnp.asarray(self.E + size + jnp.exp(jnp.log(self.B) - exponent * ratio))


class ScaledRatio(_LogLaw):
    """L(N, D) = E + A / N^alpha + B / (N^gamma (D / N)^beta).

    `Chinchilla` whose data term has a power of N of its own: at gamma = beta it is that law.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    gamma: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        data = jnp.log(self.B) - self.gamma * log_params - self.beta * (log_tokens - log_params)
        return jnp.asarray(
            self.E + jnp.exp(jnp.log(self.A) - self.alpha * log_params) + jnp.exp(data)
        )


class CoupledRatio(_LogLaw):
    """L(N, D) = E + (A + B / (D / N)^beta)^k / N^alpha.

    Every curve over tokens per parameter is the same but for its level and its height;
    k couples its two parts as in `Coupled`.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    k: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        data = jnp.log(self.B) - self.beta * (log_tokens - log_params)
        both = self.k * jnp.logaddexp(jnp.log(self.A), data)
        return jnp.asarray(self.E + jnp.exp(both - self.alpha * log_params))


class SaturatingData(_LogLaw):
    """L(N, D) = E + A / N^alpha + B / D_eff^beta,   D_eff = D / (1 + D / (c N^q)).

    A model of N parameters takes up no more than c N^q tokens.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    c: Positive
    q: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        most = jnp.log(self.c) + self.q * log_params
        tokens = -jnp.logaddexp(-log_tokens, -most)
        size = jnp.exp(jnp.log(self.A) - self.alpha * log_params)
        return jnp.asarray(self.E + size + jnp.exp(jnp.log(self.B) - self.beta * tokens))


class ComputeRatio(_LogLaw):
    """L(N, D) = E + (a M^rise + b / M^fall) / C^eta,   M = D / N, C = N D.

    The excess falls as a power of compute, the same at every ratio M of tokens to parameters,
    and is least at one of them. Source: Gadre et al. 2024 (arXiv 2403.08540), where
    rise = fall.
    """

    E: Floor
    a: Positive
    rise: Exponent
    b: Positive
    fall: Exponent
    eta: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        ratio, compute = log_tokens - log_params, log_params + log_tokens
        many = jnp.log(self.a) + self.rise * ratio
        few = jnp.log(self.b) - self.fall * ratio
        return jnp.asarray(self.E + jnp.exp(jnp.logaddexp(many, few) - self.eta * compute))


class BoundedRational(_LogLaw):
    """L(N, D) = E + (L0 - E) h / (1 + h),   h = A / N^alpha + B / D^beta + C N^gamma / D^delta.

    Between a floor and the loss L0 of a model that knows nothing; the third term is of models
    too large for their data. Runs show L0 only where it is near, so that it is held to 30
    nats. Source: arXiv 2605.09189.
    """

    E: Floor
    L0: Annotated[Number, POSITIVE.up_to(30.0)]
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    C: Positive
    gamma: Exponent
    delta: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        size = jnp.log(self.A) - self.alpha * log_params
        data = jnp.log(self.B) - self.beta * log_tokens
        excess = jnp.log(self.C) + self.gamma * log_params - self.delta * log_tokens
        log_h = jnp.logaddexp(jnp.logaddexp(size, data), excess)
        return jnp.asarray(self.E * jax.nn.sigmoid(-log_h) + self.L0 * jax.nn.sigmoid(log_h))


class Farseer(_LogLaw):
    """L(N, D) = exp(a3 N^gamma + b3) + exp(a2 N^beta + b2) / D^exp(a1 N^alpha + b1).

    Floor, level and exponent of the curve over D are each a stretched exponential in N: nine
    coefficients of any sign, of which alpha, beta and gamma lie within 0.5 of zero. Source:
    Li et al. 2025 (arXiv 2506.10972).
    """

    a1: _Slope
    alpha: _Bend
    b1: _Slope
    a2: _Slope
    beta: _Bend
    b2: Real
    a3: _Slope
    gamma: _Bend
    b3: Real

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        floor = self.a3 * jnp.exp(self.gamma * log_params) + self.b3
        level = self.a2 * jnp.exp(self.beta * log_params) + self.b2
        exponent = jnp.exp(self.a1 * jnp.exp(self.alpha * log_params) + self.b1)
        return jnp.exp(floor) + jnp.exp(level - exponent * log_tokens)


class TiedCoupled(PowerSum):
    """L(N, D) = E + (A / N^alpha + B / D^alpha)^k: `Coupled` with one exponent.

    The ratio of tokens to parameters that is optimal for training compute is the same at
    every size, as in `Tied`; k says how much the smaller of the two terms matters. Source:
    the special case alpha = beta of Busbridge et al. 2025 (arXiv 2502.08606).

    Example:
        >>> law = TiedCoupled(E=1.7, A=300.0, B=900.0, alpha=0.4, k=0.8)
        >>> best = law.compute_optimal(params=1e9)
        >>> print(f"{law(1e9, 2e10):.4f} {best.tokens_per_param:.2f}")
        1.9117 15.59
    """

    E: Floor
    A: Positive
    B: Positive
    alpha: Exponent
    k: Exponent

    def terms(self) -> Terms:
        return Terms(jnp.log(self.A), self.alpha, jnp.log(self.B), self.alpha)

    def log_excess(self, loss: Number) -> jax.Array:
        return jnp.log(loss - self.E) / self.k

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.asarray(self.E + jnp.exp(self.k * log_excess))


class CoupledGrowth(_LogLaw):
    """L(N, D) = E + (A / N^alpha + B N^gamma / D^beta)^k.

    The common parent of `Coupled` (gamma = 0), of `ScaledRatio` (k = 1) and of `CoupledRatio`
    (gamma = beta - alpha): the power of a sum whose data term grows, or falls, with size.

    Example:
        >>> law = CoupledGrowth(E=1.7, A=300.0, alpha=0.4, B=900.0, gamma=0.05, beta=0.4, k=0.8)
        >>> print(f"{law(1e9, 2e10):.4f}")
        2.0483
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    gamma: Annotated[Number, REAL.between(-0.5, 0.5)]
    beta: Exponent
    k: Exponent

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        size = jnp.log(self.A) - self.alpha * log_params
        data = jnp.log(self.B) + self.gamma * log_params - self.beta * log_tokens
        return jnp.asarray(self.E + jnp.exp(self.k * jnp.logaddexp(size, data)))


class FixedCapacity(_LogLaw):
    """L(N, D) = E + A / N^alpha + B / D_eff^beta,   D_eff = D / (1 + D / (c N)).

    Every parameter takes up c tokens and no more: `SaturatingData` at q = 1.

    Example:
        >>> law = FixedCapacity(E=1.7, A=400.0, alpha=0.34, B=900.0, beta=0.3, c=1000.0)
        >>> print(f"{law(1e9, 2e10):.4f} {law(1e9, 2e13):.4f}")
        2.7838 2.2778
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    c: Positive

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        tokens = -jnp.logaddexp(-log_tokens, -jnp.log(self.c) - log_params)
        size = jnp.exp(jnp.log(self.A) - self.alpha * log_params)
        return jnp.asarray(self.E + size + jnp.exp(jnp.log(self.B) - self.beta * tokens))


class LogQuadratic(_LogLaw):
    """log L(N, D) = level + n x + d y + nn x^2 + nd x y + dd y^2,   x = log N, y = log D.

    The second-order polynomial through whatever the truth is: a yardstick of how well a
    smooth surface can describe the runs. It knows no floor and turns upwards or plunges
    beyond them, so that it is never extrapolated: no weight in a mixture is given to it.

    Example:
        >>> law = LogQuadratic(level=3.0, n=-0.05, d=-0.05, nn=0.0, nd=0.0, dd=0.0)
        >>> print(f"{law(1e9, 2e10):.4f}")
        2.1769
    """

    level: Real
    n: Real
    d: Real
    nn: Real
    nd: Real
    dd: Real

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:  # pyright: ignore
        x, y = log_params, log_tokens
        linear = self.level + self.n * x + self.d * y
        return jnp.exp(linear + self.nn * x * x + self.nd * x * y + self.dd * y * y)
