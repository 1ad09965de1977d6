"""What a student of a teacher costs: the teacher's forward passes and training included."""

from typing import ClassVar

from scaling_jax._pytree import NonNegative, Number, Share
from scaling_jax.costs.demand import Demand
from scaling_jax.costs.records import SERVE_FLOPS_PER_PARAM_TOKEN, Bill, Cost
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN


class DistilledFlops(Cost):
    """FLOPs: 6 N D + 2 N_T D (1 - stored) + 6 N_T D_T to train, 2 N for each token served.

    N_T is the teacher, D_T the tokens of its training that are charged to this student: none
    of a teacher that exists. `stored` is the share of its outputs that need not be computed.
    Source: Busbridge et al. 2025 (arXiv 2502.08606), with 2 N FLOPs for a forward pass; their
    four scenarios are `stored` nearly one or zero, and D_T zero or not.

    Example:
        >>> from scaling_jax import Demand
        >>> cost = DistilledFlops(teacher_params=7e9)
        >>> print(f"{cost(1e9, 1e11, Demand()).total:.3g} FLOPs")
        2e+21 FLOPs
    """

    teacher_params: NonNegative
    teacher_tokens: NonNegative = 0.0
    stored: Share = 0.0

    unit: ClassVar[str] = "flops"

    def __call__(self, params: Number, tokens: Number, demand: Demand) -> Bill:
        """Return the bill of a student of N parameters trained on D tokens."""
        training, forward = TRAIN_FLOPS_PER_PARAM_TOKEN, SERVE_FLOPS_PER_PARAM_TOKEN
        taught = forward * tokens * (1 - self.stored) + training * self.teacher_tokens
        return Bill(
            train=training * params * tokens + self.teacher_params * taught,
            serve=forward * params * demand.tokens,
        )

    def assumptions(self) -> dict[str, str]:
        return {"FLOPs": "6 per parameter and training token, 2 per parameter and token passed"}
