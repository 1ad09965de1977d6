"""The cheapest model for a quality, or the best quality for a budget."""

from scaling_jax.planning.allocation import compute_optimal as compute_optimal
from scaling_jax.planning.elasticity import elasticities as elasticities
from scaling_jax.planning.intervals import Intervals as Intervals
from scaling_jax.planning.intervals import intervals as intervals
from scaling_jax.planning.planner import plan as plan
from scaling_jax.planning.records import Limit as Limit
from scaling_jax.planning.records import Plan as Plan
from scaling_jax.planning.records import PlanError as PlanError
from scaling_jax.planning.records import PricedModel as PricedModel
