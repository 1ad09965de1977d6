"""Bills and costs: what is asked of any cost, the linear ones, and FLOPs."""

import abc
from typing import Any, ClassVar, NamedTuple

from scaling_jax._pytree import Number, Record
from scaling_jax.costs.demand import Demand
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN

# Forward pass, per parameter and token (Kaplan et al. 2020, section 2.1).
SERVE_FLOPS_PER_PARAM_TOKEN = 2.0


class Bill(Record):
    """What a model costs over its life, in one unit."""

    train: Number
    serve: Number

    @property
    def total(self) -> Number:
        """Training plus serving."""
        return self.train + self.serve


class Rates(NamedTuple):
    """The coefficients of a `LinearCost`: N (train D + serve)."""

    train: Number
    serve: Number


class Cost(Record, abc.ABC):
    """A cost of your own as a record: fields, a unit, and a bill in terms of them.

    Example:
        >>> from scaling_jax import Positive
        >>> class Electricity(Cost):
        ...     '''Joules at so many FLOPs per joule; prompts are read ten times as fast.'''
        ...     unit = "joules"
        ...     flops_per_joule: Positive
        ...     def __call__(self, params, tokens, demand):
        ...         served = demand.output_tokens + demand.input_tokens / 10
        ...         return Bill(
        ...             train=6 * params * tokens / self.flops_per_joule,
        ...             serve=2 * params * served / self.flops_per_joule)
        >>> print(f"{Electricity(flops_per_joule=5e11)(7e9, 2e12, Demand()).total:.3g} J")
        1.68e+11 J
    """

    unit: ClassVar[str] = "units"

    @abc.abstractmethod
    def __call__(self, *args: Any, **axes: Any) -> Bill:
        """cost(params, tokens, demand, **axes): the bill of N parameters trained on D tokens
        and serving the demand.
        """

    def breaks(self, *args: Any, **axes: Any) -> tuple[Number, ...]:
        """breaks(demand, **axes): the sizes (params) at which the cost jumps or bends, where
        it states them.
        """
        return ()

    def assumptions(self) -> dict[str, str]:
        """Return what the cost rests on, a name and a phrase each, for people."""
        return {}


class LinearCost(Cost):
    """A cost of the form N (train D + serve): proportional to size, linear in tokens.

    A subclass states `rates`; `plan` then has an exact solution for it.
    """

    @abc.abstractmethod
    def rates(self, demand: Demand) -> Rates:
        """Return the cost per parameter and training token, and per parameter served."""

    def __call__(self, params: Number, tokens: Number, demand: Demand) -> Bill:
        """Return the bill of N parameters trained on D tokens and serving the demand."""
        rates = self.rates(demand)
        return Bill(train=params * tokens * rates.train, serve=params * rates.serve)


class Flops(LinearCost):
    """Floating-point operations: 6 N D to train, 2 N for each inference token.

    Source: Sardana et al. 2024 (arXiv 2401.00448), equation 2.

    Example:
        >>> Flops()(7e9, 1e12, Demand(output_tokens=1e12)).total
        5.6e+22
    """

    unit: ClassVar[str] = "flops"

    def rates(self, demand: Demand) -> Rates:
        return Rates(TRAIN_FLOPS_PER_PARAM_TOKEN, SERVE_FLOPS_PER_PARAM_TOKEN * demand.tokens)

    def assumptions(self) -> dict[str, str]:
        return {"FLOPs": "6 per parameter and training token, 2 per parameter and token served"}
