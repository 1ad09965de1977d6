"""Numerical methods: a scalar root, constrained minimisation, implicit differentiation.

Nothing here knows of scaling laws.
"""

from scaling_jax.solve.bracket import increasing_root as increasing_root
from scaling_jax.solve.implicit import dense as dense
from scaling_jax.solve.implicit import divide as divide
from scaling_jax.solve.implicit import root as root
from scaling_jax.solve.minimise import minimise as minimise
from scaling_jax.solve.newton import newton as newton
from scaling_jax.solve.scalar import log_shift as log_shift
from scaling_jax.solve.scalar import softplus_root as softplus_root
from scaling_jax.solve.status import Solution as Solution
from scaling_jax.solve.status import Status as Status
