"""What training and serving a model cost: FLOPs and dollars.

A cost is any pure function `cost(params, tokens, demand) -> Bill`; further axes that it reads
are keyword parameters. Your own takes five lines:

    >>> from scaling_jax import Bill, Demand
    >>> def gpu_hours(params, tokens, demand):
    ...     hours = params * tokens * 6 / (989e12 * 0.4 * 3600)
    ...     serving = params * demand.tokens * 2 / (989e12 * 0.1 * 3600)
    ...     return Bill(train=hours, serve=serving)
    >>> round(gpu_hours(7e9, 2e12, Demand(output_tokens=1e12)).total)
    98304
"""

from scaling_jax.costs.demand import INPUT_TOKENS_PER_REQUEST as INPUT_TOKENS_PER_REQUEST
from scaling_jax.costs.demand import OUTPUT_TOKENS_PER_REQUEST as OUTPUT_TOKENS_PER_REQUEST
from scaling_jax.costs.demand import Demand as Demand
from scaling_jax.costs.distilled import DistilledFlops as DistilledFlops
from scaling_jax.costs.dollars import Dollars as Dollars
from scaling_jax.costs.dollars import Fleet as Fleet
from scaling_jax.costs.dollars import ServeFleet as ServeFleet
from scaling_jax.costs.dollars import Service as Service
from scaling_jax.costs.dollars import TrainFleet as TrainFleet
from scaling_jax.costs.records import SERVE_FLOPS_PER_PARAM_TOKEN as SERVE_FLOPS_PER_PARAM_TOKEN
from scaling_jax.costs.records import Bill as Bill
from scaling_jax.costs.records import Cost as Cost
from scaling_jax.costs.records import Flops as Flops
from scaling_jax.costs.records import LinearCost as LinearCost
from scaling_jax.costs.records import Rates as Rates
