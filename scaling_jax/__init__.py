"""Which language model to train, for how long, what its whole life costs, and how sure that is.

A law, a cost, a demand: each is a small frozen pytree of numbers with one pure formula.
Everything else is a function of them, and JAX can jit, vmap and differentiate through it.
"""

import importlib.metadata

from scaling_jax import costs as costs
from scaling_jax import hardware as hardware
from scaling_jax import laws as laws
from scaling_jax import solve as solve
from scaling_jax.costs import Bill as Bill
from scaling_jax.costs import Demand as Demand
from scaling_jax.costs import Dollars as Dollars
from scaling_jax.costs import Flops as Flops
from scaling_jax.costs import LinearCost as LinearCost
from scaling_jax.costs import ServeFleet as ServeFleet
from scaling_jax.costs import TrainFleet as TrainFleet
from scaling_jax.laws import Allocation as Allocation
from scaling_jax.laws import Chinchilla as Chinchilla
from scaling_jax.laws import Kaplan as Kaplan
from scaling_jax.laws import Law as Law
from scaling_jax.laws import PowerSum as PowerSum
from scaling_jax.planning import Limit as Limit
from scaling_jax.planning import Plan as Plan
from scaling_jax.planning import PlanError as PlanError
from scaling_jax.planning import elasticities as elasticities
from scaling_jax.planning import plan as plan
from scaling_jax.solve import Status as Status

__version__ = importlib.metadata.version("scaling-jax")
