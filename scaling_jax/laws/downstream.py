"""Downstream: from the loss of a law to the errors in a task, so that a plan can ask for them.

Each is planned for as a loss is: `loss=0.2` asks for an accuracy of 80 %.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.scipy.special import logit

from scaling_jax._pytree import POSITIVE, Fraction, Number
from scaling_jax.laws.forms import Seen

_Steep = Annotated[Number, POSITIVE.between(0.3, 10.0)]
_Share = Annotated[Number, POSITIVE.between(0.1, 1.0)]


class TaskError(Seen):
    """1 - accuracy, accuracy = b - a / (1 + exp(-k (L - L0))), L the loss of a law.

    The second of two steps: the law gives the loss, per task, and the sigmoid what it is
    worth: b for the best model, b - a for one that guesses.
    Source: Bhagia et al. 2024 (arXiv 2412.04403), who print + a with a < 0. Status: form
    confirmed; fit it to your task.

    Example:
        >>> from scaling_jax.laws import HOFFMANN_2022
        >>> law = TaskError(base=HOFFMANN_2022, a=0.75, k=3.0, L0=2.2, b=1.0)
        >>> print(f"{law(7e9, 2e12):.3f}, {law.tokens_for(0.25, params=7e9):.3g} tokens")
        0.279, 1.35e+13 tokens
    """

    a: Fraction
    k: _Steep
    L0: Annotated[Number, POSITIVE.between(0.5, 5.0)]
    b: Fraction

    def seen(self, loss: Number) -> Number:
        return 1 - self.b + self.a * jax.nn.sigmoid(self.k * (loss - self.L0))

    def unseen(self, value: Number) -> Number:
        return self.L0 + logit((value - 1 + self.b) / self.a) / self.k


class TopOneError(Seen):
    """epsilon - k exp(-gamma L), the mean top-1 error over tasks, L the loss of a law.

    Source: Gadre et al. 2024 (arXiv 2403.08540). Status: form confirmed; fit it to your tasks.
    """

    epsilon: _Share
    k: _Steep
    gamma: _Steep

    def seen(self, loss: Number) -> Number:
        return self.epsilon - self.k * jnp.exp(-self.gamma * loss)

    def unseen(self, value: Number) -> Number:
        return -jnp.log((self.epsilon - value) / self.k) / self.gamma
