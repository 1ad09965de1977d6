"""How much a model is used over its life."""

import jax.numpy as jnp

from scaling_jax._pytree import NonNegative, Number, OptionalNonNegative, Record

# Means of LMSYS-Chat-1M, as used by Sardana et al. 2024 (arXiv 2401.00448, section 4).
INPUT_TOKENS_PER_REQUEST = 70.0
OUTPUT_TOKENS_PER_REQUEST = 215.0


class Demand(Record):
    """Inference over the model's life: prompt (input) and generated (output) tokens, in all.

    `requests` says in how many requests they come; a cost that looks at contexts needs it.
    Where it is not known, requests are as long as those of LMSYS-Chat-1M.

    Example:
        >>> Demand.of_requests(1e9).tokens
        285000000000.0
        >>> Demand(output_tokens=1e12, requests=2e9).output_length
        500.0
    """

    input_tokens: NonNegative = 0.0
    output_tokens: NonNegative = 0.0
    requests: OptionalNonNegative = None

    @classmethod
    def of_requests(
        cls,
        requests: Number,
        input_tokens: Number = INPUT_TOKENS_PER_REQUEST,
        output_tokens: Number = OUTPUT_TOKENS_PER_REQUEST,
    ) -> "Demand":
        """Return the demand of so many requests, given the mean tokens of one request."""
        return cls(
            input_tokens=requests * input_tokens,
            output_tokens=requests * output_tokens,
            requests=requests,
        )

    @classmethod
    def of_tokens(cls, tokens: Number) -> "Demand":
        """Return a demand of so many tokens in all, split as in LMSYS-Chat-1M (70 : 215)."""
        per_request = INPUT_TOKENS_PER_REQUEST + OUTPUT_TOKENS_PER_REQUEST
        return cls.of_requests(tokens / per_request)

    @property
    def tokens(self) -> Number:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def input_length(self) -> Number:
        """Mean input tokens of one request."""
        return self._length(self.input_tokens, INPUT_TOKENS_PER_REQUEST)

    @property
    def output_length(self) -> Number:
        """Mean output tokens of one request."""
        return self._length(self.output_tokens, OUTPUT_TOKENS_PER_REQUEST)

    def _length(self, tokens: Number, usual: float) -> Number:
        if self.requests is None:
            return usual
        if isinstance(self.requests, float | int):
            return tokens / self.requests if self.requests > 0 else usual
        some = self.requests > 0
        return jnp.where(some, tokens / jnp.where(some, self.requests, 1.0), usual)

    def scaled(self, factor: Number) -> "Demand":
        """Return a demand of so many times the requests, each as long as before."""
        return Demand(
            input_tokens=factor * self.input_tokens,
            output_tokens=factor * self.output_tokens,
            requests=None if self.requests is None else factor * self.requests,
        )
