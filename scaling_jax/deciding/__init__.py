"""Planning under uncertainty: which model to commit to, and what is worth finding out first."""

from scaling_jax.deciding.decider import decide as decide
from scaling_jax.deciding.records import Commitment as Commitment
from scaling_jax.deciding.records import Decision as Decision
from scaling_jax.deciding.risks import RISKS as RISKS
from scaling_jax.deciding.samples import log_normal as log_normal
from scaling_jax.deciding.sensitivity import RiskGradient as RiskGradient
from scaling_jax.deciding.sensitivity import risk_gradient as risk_gradient
