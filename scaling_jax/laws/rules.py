"""Rules of thumb of the form scale x^a y^b: learning rates, batches, data, vocabularies.

They disagree: batches grow with the power .33 of compute in one, .38 to .57 of data in others.
All are offered, none is chosen for you.

    >>> print(f"{RULES['steplaw2025-learning-rate'].law(params=1e9, tokens=1e11):.3e}")
    1.632e-03
"""

import math

import jax
import jax.numpy as jnp

from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number, Positive, Record
from scaling_jax.laws.families import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.sourced import Sourced, Valid


class PowerRule(Record):
    """scale * product of quantities to their exponents; what has no exponent is not read.

    Training FLOPs that are not given are 6 N D of params and tokens.

    Example:
        >>> print(f"{PowerRule(scale=2.0, tokens=0.5)(tokens=1e10):.4g}")
        2e+05
    """

    scale: Positive
    params: Number | None = None
    tokens: Number | None = None
    train_flops: Number | None = None
    loss: Number | None = None
    experts: Number | None = None

    def __call__(self, **quantities: Number) -> jax.Array:
        """Return the value of the rule at quantities that are named as the exponents are.

        Raises:
            ValueError: a quantity that the rule reads is not given.
        """
        (given,) = as_floats(quantities=quantities)
        logs = {name: jnp.log(value) for name, value in given.items()}
        if "train_flops" not in logs and {"params", "tokens"} <= logs.keys():
            factor = math.log(TRAIN_FLOPS_PER_PARAM_TOKEN)
            logs["train_flops"] = factor + logs["params"] + logs["tokens"]
        exponents = {
            name: x for name, x in vars(self).items() if name != "scale" and x is not None
        }
        for name in exponents:
            if name not in logs:
                raise ValueError(f"the rule needs {name}, which is not given")
        parts = [exponent * logs[name] for name, exponent in exponents.items()]
        return jnp.exp(sum(parts, start=jnp.log(self.scale)))


def _rule(
    subject: str, source: str, caveat: str = "", valid: Valid | None = None, **rule: float
) -> Sourced:
    return Sourced(
        law=PowerRule(**rule),
        subject=subject,
        source=source,
        caveat=caveat,
        valid=valid or Valid(),
    )


_STEP_LAW = "Step Law (arXiv 2503.04715)"
_DEEPSEEK = "DeepSeek LLM (arXiv 2401.02954)"
_LING = "Ling team 2025 (arXiv 2507.17702), second-hand"
_NO_EMBEDDINGS = "Params are without embeddings."

# The subject of each is the quantity that it gives.
RULES: dict[str, Sourced] = {
    "steplaw2025-learning-rate": _rule(
        "learning_rate", _STEP_LAW, _NO_EMBEDDINGS, scale=1.79, params=-0.713, tokens=0.307
    ),
    "deepseek2024-learning-rate": _rule(
        "learning_rate",
        _DEEPSEEK,
        "Second-hand. FLOPs are non-embedding FLOPs per token times tokens.",
        Valid(train_flops=(1e17, 2e19)),
        scale=0.3118,
        train_flops=-0.1250,
    ),
    "ling2025-learning-rate": _rule(
        "learning_rate",
        _LING,
        "For mixtures of experts.",
        Valid(train_flops=(1e18, 6e20)),
        scale=1.1576,
        train_flops=-0.1529,
    ),
    "ludziejewski2025-learning-rate": _rule(
        "learning_rate",
        "Ludziejewski et al. 2025 (arXiv 2502.05172)",
        "Params are the active ones without embeddings.",
        Valid(axes={"experts": (1, 32)}),
        scale=math.exp(8.39),
        params=-0.81,
        experts=-0.25,
    ),
    "steplaw2025-batch": _rule("batch_tokens", _STEP_LAW, scale=0.58, tokens=0.571),
    "deepseek2024-batch": _rule(
        "batch_tokens",
        _DEEPSEEK,
        "Second-hand. FLOPs are non-embedding FLOPs per token times tokens.",
        Valid(train_flops=(1e17, 2e19)),
        scale=0.2920,
        train_flops=0.3271,
    ),
    "ling2025-batch": _rule(
        "batch_tokens",
        _LING,
        "For mixtures of experts.",
        Valid(train_flops=(1e18, 6e20)),
        scale=0.0694,
        train_flops=0.3644,
    ),
    "schaipp2026-batch": _rule(
        "batch_tokens",
        "Schaipp et al. 2026 (arXiv 2607.01487), second-hand",
        "Batches about four times apart cost at most 5 % more compute.",
        Valid(params=(5e7, 1e9), tokens=(2e9, math.inf)),
        scale=0.667,
        tokens=0.566,
    ),
    "power-lines2025-batch": _rule(
        "batch_tokens",
        "Power Lines (arXiv 2505.13738), second-hand",
        "Printed in sequences of 2048 tokens.",
        scale=0.0306 * 2048,
        tokens=0.383,
    ),
    "kaplan2020-critical-batch": _rule(
        "critical_batch_tokens",
        "Kaplan et al. 2020 (arXiv 2001.08361), equation 1.4, second-hand",
        scale=2e8,
        loss=-1 / 0.21,
    ),
    "deepseek2024-tokens": _rule(
        "tokens",
        _DEEPSEEK,
        "Second-hand; other data moved the exponent of size between .450 and .578.",
        Valid(train_flops=(1e17, 3e20)),
        scale=5.8316,
        train_flops=0.4757,
    ),
    "deepseek2024-flops-per-token": _rule(
        "flops_per_token",
        _DEEPSEEK,
        "Second-hand; other data moved the exponent between .450 and .578.",
        Valid(train_flops=(1e17, 3e20)),
        scale=0.1715,
        train_flops=0.5243,
    ),
    "llama3-2024-tokens": _rule(
        "tokens",
        "Llama 3 (arXiv 2407.21783), the figure of compute-optimal tokens",
        "The text's rounded (.29, .53) gives 10.5T tokens at 3.8e25 FLOPs, the figure's 16.3T; "
        "16.55T are printed.",
        Valid(train_flops=(6e18, 1e22)),
        scale=0.299,
        train_flops=0.537,
    ),
    "tao2024-vocabulary-of-flops": _rule(
        "vocabulary_params",
        "Tao et al. 2024 (arXiv 2407.13623), approach 1",
        "The parameters of the embedding, vocab_size times width.",
        scale=math.exp(-1.589),
        train_flops=0.41636,
    ),
    "tao2024-vocabulary-of-size": _rule(
        "vocabulary_params",
        "Tao et al. 2024 (arXiv 2407.13623), approach 2",
        "The parameters of the embedding, vocab_size times width; params are those without "
        "the vocabulary.",
        scale=3145728 / 33e6**0.8353974,
        params=0.8353974,
    ),
}
