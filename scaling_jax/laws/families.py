"""What loss do N parameters and D tokens buy: laws, and the families that are sums of powers.

A law is a frozen pytree of its coefficients with one pure formula, `law(params, tokens)`,
elementwise over arrays. Further axes are keyword parameters of its `loss`.
"""

from __future__ import annotations

import abc
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats, log_power
from scaling_jax._pytree import Exponent, Floor, Number, Positive, Record
from scaling_jax.solve import increasing_root

# Forward and backward pass, per parameter and token (Kaplan et al. 2020, section 2.1).
TRAIN_FLOPS_PER_PARAM_TOKEN = 6.0

# Where models are looked for: 1 to 1e20 params, 1 to 1e25 tokens.
_LOG_PARAMS = (0.0, 46.0)
_LOG_TOKENS = (0.0, 57.5)


class Law(Record, abc.ABC):
    """A loss law of your own: fields, and `loss` in terms of them.

    `loss(params, tokens)` is in nats per token; it must fall in params. Further properties
    of a model that it reads, its axes, are keyword parameters. That is enough for `fit`,
    `plan`, `grid` and `decide`; what more a law may state makes them faster or surer:
    `falls_until`, `as_power_sum`, `log_params_for`, `log_tokens_for`. (They are declared with
    `*args, **axes` so that a law of yours may have any axes in the eyes of a type checker.)

    Example:
        >>> from scaling_jax import Exponent, Law, Positive
        >>> class Floorless(Law):
        ...     '''L(N, D) = A / (N D)^alpha.'''
        ...     A: Positive
        ...     alpha: Exponent
        ...     def loss(self, params, tokens):
        ...         return self.A / (params * tokens) ** self.alpha
        >>> law = Floorless(A=10.0, alpha=0.04)
        >>> print(f"{law(1e9, 1e11):.4f} {law.tokens_for(1.6, params=1e9):.3g}")
        1.5849 7.89e+10
    """

    @abc.abstractmethod
    def loss(self, *args: Any, **axes: Any) -> jax.Array:
        """loss(params, tokens, **axes): the final pre-training loss in nats per token."""

    def __call__(self, params: Number, tokens: Number, **axes: Number) -> jax.Array:
        """The same as `loss`: a law is a function."""
        return self.loss(params, tokens, **axes)

    def loss_at_log(self, *args: Any, **axes: Any) -> jax.Array:
        """loss_at_log(log_params, log_tokens, **axes): the loss from log N and log D."""
        log_params, log_tokens = args
        return self.loss(jnp.exp(log_params), jnp.exp(log_tokens), **axes)

    def falls_until(self, *args: Any, **axes: Any) -> Number:
        """falls_until(params, **axes): the tokens up to which the loss falls, or infinity."""
        return jnp.inf

    def as_power_sum(self, *args: Any, **axes: Any) -> PowerSum | None:
        """as_power_sum(**axes): the `PowerSum` that the law is at these axes; None where it
        is not one.
        """
        return None

    def log_params_for(self, *args: Any, **axes: Any) -> jax.Array | None:
        """log_params_for(loss, log_tokens, **axes): log N that reaches a loss, NaN where none
        does; None where the law has no closed form.
        """
        return None

    def log_tokens_for(self, *args: Any, **axes: Any) -> jax.Array | None:
        """log_tokens_for(loss, log_params, **axes): log D that reaches a loss, NaN where none
        does; None where the law has no closed form.
        """
        return None

    def params_for(self, loss: Number, tokens: Number, **axes: Number) -> jax.Array:
        """Return the parameters that reach a loss on D tokens; NaN where none do."""
        loss, tokens, axes = as_floats(loss=loss, tokens=tokens, axes=axes)
        log_params = self.log_params_for(loss, jnp.log(tokens), **axes)
        if log_params is None:
            log_params = increasing_root(
                lambda n: jnp.asarray(loss - self.loss_at_log(n, jnp.log(tokens), **axes)),
                *_LOG_PARAMS,
            )
        return jnp.exp(log_params)

    def tokens_for(self, loss: Number, params: Number, **axes: Number) -> jax.Array:
        """Return the tokens that bring N parameters to a loss; NaN where none do.

        Of a law that rises beyond `falls_until` those that training reaches first.
        """
        loss, params, axes = as_floats(loss=loss, params=params, axes=axes)
        log_tokens = self.log_tokens_for(loss, jnp.log(params), **axes)
        if log_tokens is None:
            last = jnp.minimum(jnp.log(self.falls_until(params, **axes)), _LOG_TOKENS[1])
            log_tokens = increasing_root(
                lambda d: jnp.asarray(loss - self.loss_at_log(jnp.log(params), d, **axes)),
                _LOG_TOKENS[0],
                last,
            )
        return jnp.exp(log_tokens)


class Allocation(Record):
    """A model size and its training tokens."""

    params: Number
    tokens: Number

    @property
    def tokens_per_param(self) -> Number:
        """D / N."""
        return self.tokens / self.params

    @property
    def train_flops(self) -> Number:
        """6 N D."""
        return TRAIN_FLOPS_PER_PARAM_TOKEN * self.params * self.tokens


class Terms(NamedTuple):
    """The two powers of a `PowerSum`: A / N^alpha + B / D^beta, scales as logarithms."""

    log_a: Number
    alpha: Number
    log_b: Number
    beta: Number

    @property
    def log_a_excess(self) -> Number:
        """log(A (1 + alpha / beta)): the size term's scale when it has its optimal share."""
        return self.log_a + jnp.log1p(self.alpha / self.beta)

    @property
    def log_b_excess(self) -> Number:
        """log(B (1 + beta / alpha)): the same for the data term."""
        return self.log_b + jnp.log1p(self.beta / self.alpha)


class PowerSum(Law):
    """A law whose excess, a monotone function of the loss, is A / N^alpha + B / D^beta.

    A family states three things: its `terms`, the `log_excess` that a loss has, and its
    inverse `loss_at`; the logarithm survives float32 whatever the exponents. Everything else
    follows in closed form: loss, inversions, the allocation that is optimal for training
    compute, and exact plans.
    """

    @abc.abstractmethod
    def terms(self) -> Terms:
        """Return A, alpha, B, beta of the excess."""

    @abc.abstractmethod
    def log_excess(self, loss: Number) -> jax.Array:
        """Return the log of the excess of a loss; NaN where no model reaches the loss."""

    @abc.abstractmethod
    def loss_at(self, log_excess: Number) -> jax.Array:
        """Return the loss of an excess: the inverse of `log_excess`."""

    def loss(self, params: Number, tokens: Number) -> jax.Array:
        """Return the loss (nats/token) of N parameters trained on D tokens."""
        params, tokens = as_floats(params=params, tokens=tokens)
        return self.loss_at_log(jnp.log(params), jnp.log(tokens))

    def loss_at_log(self, log_params: Number, log_tokens: Number) -> jax.Array:
        """Return the loss from log N and log D."""
        t = self.terms()
        size = log_power(t.log_a, t.alpha, log_params)
        return self.loss_at(jnp.logaddexp(size, log_power(t.log_b, t.beta, log_tokens)))

    def as_power_sum(self) -> PowerSum:
        """Return the law itself."""
        return self

    def log_params_for(self, loss: Number, log_tokens: Number) -> jax.Array:
        """Return log N = log(A / (excess - B / D^beta)) / alpha."""
        return log_params_for(self.terms(), self.log_excess(loss), log_tokens)

    def log_tokens_for(self, loss: Number, log_params: Number) -> jax.Array:
        """Return log D = log(B / (excess - A / N^alpha)) / beta."""
        return log_tokens_for(self.terms(), self.log_excess(loss), log_params)

    def compute_optimal(
        self,
        *,
        train_flops: Number | None = None,
        params: Number | None = None,
        tokens: Number | None = None,
        loss: Number | None = None,
    ) -> Allocation:
        """Return the allocation of least training compute, demand ignored.

        At the optimum of 6 N D at fixed loss, alpha A / N^alpha = beta B / D^beta, so any
        one of compute, size, data and loss gives the other three in closed form.

        Raises:
            ValueError: not exactly one of the four is given.

        Example:
            >>> from scaling_jax.laws import HOFFMANN_2022
            >>> best = HOFFMANN_2022.compute_optimal(params=70e9)
            >>> print(f"{best.tokens:.4g} tokens, {best.train_flops:.4g} FLOPs")
            4.255e+12 tokens, 1.787e+24 FLOPs
        """
        named = dict(train_flops=train_flops, params=params, tokens=tokens, loss=loss)
        given = {name: value for name, value in named.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                "compute_optimal takes exactly one of train_flops, params, tokens and "
                f"loss; it was given {', '.join(given) or 'none'}"
            )
        t, name = self.terms(), next(iter(given))
        (value,) = as_floats(**given)
        if name == "loss":
            log_excess = self.log_excess(value)
        else:
            log_excess = _optimal_log_excess_of(t, name, jnp.log(value))
        log_params, log_tokens = optimal_allocation(t, log_excess)
        return Allocation(params=jnp.exp(log_params), tokens=jnp.exp(log_tokens))


def _optimal_log_excess_of(t: Terms, name: str, log_value: jax.Array) -> Number:
    if name == "params":
        return t.log_a_excess - t.alpha * log_value
    if name == "tokens":
        return t.log_b_excess - t.beta * log_value
    return optimal_log_excess(t, log_value - math.log(TRAIN_FLOPS_PER_PARAM_TOKEN))


def optimal_allocation(t: Terms, log_excess: Number) -> tuple[jax.Array, jax.Array]:
    """Return (log N, log D) of least N D at an excess."""
    return (
        jnp.asarray((t.log_a_excess - log_excess) / t.alpha),
        jnp.asarray((t.log_b_excess - log_excess) / t.beta),
    )


def optimal_log_params(t: Terms, log_tokens: Number) -> jax.Array:
    """Return log N for which D tokens are optimal for training compute."""
    return optimal_allocation(t, t.log_b_excess - t.beta * log_tokens)[0]


def optimal_log_excess(t: Terms, log_product: Number) -> Number:
    """Return the log of the least excess that a product N D can reach."""
    scales = t.log_a_excess / t.alpha + t.log_b_excess / t.beta
    return (scales - log_product) / (1 / t.alpha + 1 / t.beta)


def log_tokens_for(t: Terms, log_excess: Number, log_params: Number) -> jax.Array:
    """Return log D on the curve of constant excess; NaN left of its asymptote."""
    left = _log_difference(log_excess, log_power(t.log_a, t.alpha, log_params))
    return jnp.asarray((t.log_b - left) / t.beta)


def log_params_for(t: Terms, log_excess: Number, log_tokens: Number) -> jax.Array:
    """Return log N on the curve of constant excess; NaN below its asymptote."""
    left = _log_difference(log_excess, log_power(t.log_b, t.beta, log_tokens))
    return jnp.asarray((t.log_a - left) / t.alpha)


def _log_difference(log_whole: Number, log_part: Number) -> jax.Array:
    return jnp.asarray(log_whole + jnp.log1p(-jnp.exp(log_part - log_whole)))


class Chinchilla(PowerSum):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    N counts all parameters, L is in nats per token. Source: Hoffmann et al. 2022
    (arXiv 2203.15556), approach 3.
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent

    def terms(self) -> Terms:
        return Terms(jnp.log(self.A), self.alpha, jnp.log(self.B), self.beta)

    def log_excess(self, loss: Number) -> jax.Array:
        return jnp.log(loss - self.E)

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.asarray(self.E + jnp.exp(log_excess))


class Kaplan(PowerSum):
    """L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D.

    N counts the parameters without embeddings. The excess is L^(1 / alpha_D), and the law
    has no floor. Source: Kaplan et al. 2020 (arXiv 2001.08361), equation 1.5.
    """

    N_c: Positive
    alpha_N: Exponent
    D_c: Positive
    alpha_D: Exponent

    def terms(self) -> Terms:
        alpha = self.alpha_N / self.alpha_D
        return Terms(alpha * jnp.log(self.N_c), alpha, jnp.log(self.D_c), 1.0)

    def log_excess(self, loss: Number) -> jax.Array:
        return jnp.log(loss) / self.alpha_D

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.exp(log_excess * self.alpha_D)


class Tied(PowerSum):
    """L(N, D) = E + A / N^alpha + B / D^alpha: one exponent for size and data.

    With one coefficient less than `Chinchilla` it often predicts better outside of the runs
    that it is fitted to.
    """

    E: Floor
    A: Positive
    B: Positive
    alpha: Exponent

    def terms(self) -> Terms:
        return Terms(jnp.log(self.A), self.alpha, jnp.log(self.B), self.alpha)

    def log_excess(self, loss: Number) -> jax.Array:
        return jnp.log(loss - self.E)

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.asarray(self.E + jnp.exp(log_excess))


class Coupled(PowerSum):
    """L(N, D) = E + (A / N^alpha + B / D^beta)^k.

    At k = 1 it is `Chinchilla`; towards k = 0 the larger of the two terms rules. The
    excess is (L - E)^(1 / k), so k does not move the compute-optimal allocation. Source:
    "Skaling" (arXiv 2608.07222); the same form in Busbridge et al. 2025 (arXiv 2502.08606).
    """

    E: Floor
    A: Positive
    alpha: Exponent
    B: Positive
    beta: Exponent
    k: Exponent

    def terms(self) -> Terms:
        return Terms(jnp.log(self.A), self.alpha, jnp.log(self.B), self.beta)

    def log_excess(self, loss: Number) -> jax.Array:
        return jnp.log(loss - self.E) / self.k

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.asarray(self.E + jnp.exp(self.k * log_excess))
