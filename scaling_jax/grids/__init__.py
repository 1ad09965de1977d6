"""The same question for a million scenarios: a function over the product of named axes."""

from scaling_jax.grids.axes import axis as axis
from scaling_jax.grids.evaluate import grid as grid
from scaling_jax.grids.result import Grid as Grid
