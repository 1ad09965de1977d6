"""Mixtures of experts: what sparse models reach, by experts, their size and their share.

What N counts differs from law to law: each says it first.
"""

import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp

from scaling_jax._pytree import POSITIVE, REAL, Exponent, Floor, Number, Positive, Real
from scaling_jax.laws.families import TRAIN_FLOPS_PER_PARAM_TOKEN, Chinchilla, Law, PowerSum
from scaling_jax.laws.forms import LogLaw, PowerSumAt, read_by, taken_by
from scaling_jax.laws.sourced import Sourced, Valid

_LOG_10 = math.log(10.0)

_Fall = Annotated[Number, REAL.between(-0.4, 0.0)]
_Drift = Annotated[Number, REAL.between(-0.05, 0.05)]
_Slope = Annotated[Number, REAL.between(-1.0, 1.0)]
_Start = Annotated[Number, POSITIVE.between(1.0, 10.0)]
_Most = Annotated[Number, POSITIVE.between(50.0, 1000.0)]


def effective_experts(experts: Number, start: Number, most: Number) -> jax.Array:
    """Return what E experts count for: from `start` at one towards `most` at many.

        1 / E' = 1 / (E - 1 + (1 / start - 1 / most)^-1) + 1 / most

    Source: Clark et al. 2022 (arXiv 2202.01169).
    """
    shifted = experts - 1 + 1 / (1 / start - 1 / most)
    return jnp.asarray(1 / (1 / shifted + 1 / most))


class Ludziejewski(PowerSumAt):
    """L = a E'^delta N^(alpha + gamma log E') + b E'^omega D^(beta + zeta log E') + c.

    N counts the ACTIVE parameters with embeddings; axis `experts`, of which one is active; E'
    is `effective_experts`, log the natural logarithm, L in nats/token. At given experts it is
    a Chinchilla law, so that plans are exact.
    Source: Ludziejewski et al. 2025 (arXiv 2502.05172), Tables 3 and 4; up to 32 experts, N
    79M-2.7B, D 0.5B-80B. Status: confirmed.

    Example:
        >>> from scaling_jax.laws import load
        >>> law = load("ludziejewski2025")
        >>> best = law.as_power_sum(experts=32).compute_optimal(train_flops=1e22)
        >>> print(f"{best.params:.3g} active params, {best.tokens:.4g} tokens")
        1.23e+10 active params, 1.357e+11 tokens
    """

    a: Positive
    alpha: _Fall
    delta: _Slope
    gamma: _Drift
    b: Positive
    beta: _Fall
    omega: _Slope
    zeta: _Drift
    start: _Start
    most: _Most
    c: Floor

    def as_power_sum(self, *, experts: Number) -> PowerSum:
        e = jnp.log(effective_experts(experts, self.start, self.most))
        return Chinchilla(
            E=self.c,
            A=self.a * jnp.exp(self.delta * e),
            alpha=-(self.alpha + self.gamma * e),
            B=self.b * jnp.exp(self.omega * e),
            beta=-(self.beta + self.zeta * e),
        )


class Krajewski(PowerSumAt):
    """L = c + (g / G^gamma + a) / N^alpha + b / D^beta, experts G times smaller than usual.

    N counts ALL parameters without embeddings of 64 experts: d^2 (8 * 64 + 4) n of n blocks
    of width d, 43 times the active ones (not 64: so counted the printed losses come out).
    Axis `granularity`, L in nats/token. Finer is always better by loss alone; routing is paid
    for, see `train_flops`.
    Source: Krajewski et al. 2024 (arXiv 2402.07871), Tables 1 and 2, equation 10; G 1-16, N
    129M-3.7B active, D 16B-130B. Status: confirmed.
    """

    a: Positive
    alpha: Exponent
    b: Positive
    beta: Exponent
    g: Positive
    gamma: Exponent
    c: Floor

    def as_power_sum(self, *, granularity: Number) -> PowerSum:
        return Chinchilla(
            E=self.c,
            A=self.g * jnp.exp(-self.gamma * jnp.log(granularity)) + self.a,
            alpha=self.alpha,
            B=self.b,
            beta=self.beta,
        )

    def train_flops(self, params: Number, tokens: Number, *, granularity: Number) -> jax.Array:
        """Return (12 d^2 c_f + d E G c_r) n D with c_f = 6, c_r = 14, E = 64 and d = 64 n."""
        experts, aspect = 64.0, 64.0
        blocks = jnp.cbrt(params / (aspect**2 * (8 * experts + 4)))
        width = aspect * blocks
        per_block = 12 * 6 * width**2 + 14 * experts * granularity * width
        return per_block * blocks * tokens


class Clark(LogLaw):
    """log L = a log N + b log E' + c log N log E' + d, logarithms to base 10.

    N counts the parameters of the dense model (the ACTIVE ones); axis `experts`; E' is
    `effective_experts`. All models saw 130B tokens: D is not read. L is in nats/token. With
    c > 0 more experts harm models of more than 10^(-b / c) parameters.
    Source: Clark et al. 2022 (arXiv 2202.01169); three routers, E 1-512, N 15M-1.3B.
    Status: second-hand, and held to the public runs (mean error .7 to 1.6 %).
    """

    a: _Fall
    b: _Fall
    c: _Drift
    d: Annotated[Number, REAL.between(0.5, 2.0)]
    start: _Start
    most: _Most

    def loss_at_log(
        self, log_params: Number, log_tokens: Number, *, experts: Number
    ) -> jax.Array:
        level, slope = self._line(experts)
        loss = jnp.exp(level + slope * log_params)
        return jnp.broadcast_to(loss, jnp.broadcast_shapes(loss.shape, jnp.shape(log_tokens)))

    def log_params_for(self, loss: Number, log_tokens: Number, *, experts: Number) -> jax.Array:
        """Return (log L - level) / slope; NaN where the loss does not fall in N."""
        level, slope = self._line(experts)
        return jnp.where(slope < 0, (jnp.log(loss) - level) / slope, jnp.nan)

    def _line(self, experts: Number) -> tuple[Number, Number]:
        """Return level and slope of the natural log of the loss in that of N."""
        e = jnp.log(effective_experts(experts, self.start, self.most))
        return self.d * _LOG_10 + self.b * e, self.a + self.c * e / _LOG_10


class Abnar(LogLaw):
    """L = a / N^alpha + b / D^beta + c / (1 - S)^lambda + d / ((1 - S)^delta N^gamma) + e.

    N counts ALL parameters; S = 1 - active_experts / experts, axes `experts` and
    `active_experts` (one where it is not given); L is in nats/token.
    Source: Abnar et al. 2025 (arXiv 2501.12370); R^2 is 99 % on the runs, but 68 % on those
    held out (S = .98). Status: second-hand, two sources agree.
    """

    a: Positive
    alpha: Exponent
    b: Positive
    beta: Exponent
    c: Positive
    lambda_: _Slope
    d: Positive
    delta: Exponent
    gamma: Exponent
    e: Floor

    def loss_at_log(
        self,
        log_params: Number,
        log_tokens: Number,
        *,
        experts: Number,
        active_experts: Number = 1.0,
    ) -> jax.Array:
        share = jnp.log(active_experts) - jnp.log(experts)
        size = jnp.exp(jnp.log(self.a) - self.alpha * log_params)
        data = jnp.exp(jnp.log(self.b) - self.beta * log_tokens)
        sparse = jnp.exp(jnp.log(self.c) - self.lambda_ * share)
        both = jnp.exp(jnp.log(self.d) - self.delta * share - self.gamma * log_params)
        return size + data + sparse + both + self.e


class Leverage(LogLaw):
    """L(EL N, D) of a dense law: N active parameters do what EL times as many dense ones do.

        EL = A'^(a + d log10 C + gamma (log2 G)^2 + beta log2 G)
        1 / A' = 1 / (A + (1 / A_s - 1 / A_m)^-1) + 1 / A_m

    A is the share of experts that a token meets, shared ones included, G the granularity, C the
    training FLOPs, 6 N D here. The leverage is of compute; this law gives all of it to N.
    N counts the ACTIVE parameters without embeddings; axes `experts`, `active_experts`,
    `granularity`, and `shared_experts` (none where it is not given).
    Source: Ling team 2025 (arXiv 2507.17702), Table 2; C 1e18 to 6e20, beyond it extrapolates.
    Status: confirmed (logarithms are to base 10 of C and to base 2 of G).

    Example:
        >>> from scaling_jax.laws import BESIROGLU_2024
        >>> law = Leverage(base=BESIROGLU_2024)
        >>> el = law.leverage(1e22, experts=1000, active_experts=31, granularity=12)
        >>> print(f"{el:.2f}")
        7.24
    """

    base: Law
    a: Real = 1.23
    d: Real = -0.0761
    gamma: Real = 0.0167
    beta: Real = -0.117
    start: Positive = 0.0163
    most: Positive = 5.28e16

    _said_in: ClassVar[str] = "log_leverage"

    def leverage(self, train_flops: Number, **axes: Number) -> jax.Array:
        """Return EL, the FLOPs of a dense model over those of one of experts as good."""
        return jnp.exp(self.log_leverage(jnp.log(train_flops), **axes))

    def log_leverage(
        self,
        log_flops: Number,
        *,
        experts: Number,
        active_experts: Number,
        granularity: Number,
        shared_experts: Number = 0.0,
    ) -> Number:
        """Return log EL from the log of the training FLOPs."""
        share = (active_experts + shared_experts) / (experts + shared_experts)
        fine = jnp.log(granularity) / math.log(2)
        power = self.a + self.d * log_flops / _LOG_10 + fine * (self.gamma * fine + self.beta)
        return power * jnp.log(effective_experts(1 + share, self.start, self.most))

    def loss_at_log(self, log_params: Number, log_tokens: Number, **axes: Number) -> jax.Array:
        log_flops = log_params + log_tokens + math.log(TRAIN_FLOPS_PER_PARAM_TOKEN)
        size = log_params + self.log_leverage(log_flops, **taken_by(self.log_leverage, axes))
        return self.base.loss_at_log(size, log_tokens, **read_by(self.base, axes))


def _clark(router: str, *coefficients: float) -> Sourced:
    names = ("a", "b", "c", "d", "start", "most")
    return Sourced(
        law=Clark(**dict(zip(names, coefficients, strict=True))),
        subject="experts",
        source=f"Clark et al. 2022 (arXiv 2202.01169), {router}",
        caveat="Reads the axis experts; N counts the active parameters, and every model saw "
        "130B tokens: D is not read.",
        valid=Valid(params=(1.5e7, 1.3e9), axes={"experts": (1, 512)}),
    )


PUBLISHED: dict[str, Sourced] = {
    "ludziejewski2025": Sourced(
        law=Ludziejewski(
            a=35.91,
            alpha=-0.1889,
            delta=-0.2285,
            gamma=0.0098,
            b=35.98,
            beta=-0.1775,
            omega=0.5529,
            zeta=-0.0259,
            start=2.0732,
            most=290.4521,
            c=1.3637,
        ),
        subject="experts",
        source="Ludziejewski et al. 2025 (arXiv 2502.05172), Table 3",
        caveat="Reads the axis experts; N counts the active parameters with embeddings.",
        valid=Valid(params=(7.9e7, 2.7e9), tokens=(5e8, 8e10), axes={"experts": (1, 32)}),
    ),
    "krajewski2024": Sourced(
        law=Krajewski(a=18.1, alpha=0.115, b=30.8, beta=0.147, g=2.1, gamma=0.58, c=0.47),
        subject="experts",
        source="Krajewski et al. 2024 (arXiv 2402.07871), Table 1",
        caveat="Reads the axis granularity; N counts all parameters of 64 experts without "
        "embeddings, 43 times the active ones. Coefficients are rounded: the losses of the "
        "paper's Table 2 are met within .025.",
        valid=Valid(
            params=(43 * 1.29e8, 43 * 3.7e9),
            tokens=(1.6e10, 1.3e11),
            axes={"granularity": (1, 16)},
        ),
    ),
    "clark2022-s-base": _clark("S-Base", -0.082, -0.108, 0.009, 1.104, 1.847, 314.478),
    "clark2022-rl-r": _clark("RL-R", -0.083, -0.126, 0.012, 1.111, 1.880, 469.982),
    "clark2022-hash": _clark("Hash", -0.087, -0.136, 0.012, 1.157, 4.175, 477.741),
    "abnar2025": Sourced(
        law=Abnar(
            a=16612.50,
            alpha=0.5962,
            b=5455.67,
            beta=0.3954,
            c=0.4598,
            lambda_=-0.1666,
            d=17.26,
            delta=0.1603,
            gamma=0.1595,
            e=0.94,
        ),
        subject="experts",
        source="Abnar et al. 2025 (arXiv 2501.12370)",
        caveat="Second-hand. Reads the axes experts and active_experts; N counts all "
        "parameters. R^2 is only 68 % on runs held out.",
    ),
}
