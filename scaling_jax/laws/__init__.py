"""What loss do N parameters and D tokens buy: families, published coefficients, files.

Laws with further axes are grouped by subject, `laws.precision.Kumar`; `laws.FAMILIES` and
`laws.PUBLISHED` hold them all.
"""

from scaling_jax._pytree import Exponent as Exponent
from scaling_jax._pytree import Floor as Floor
from scaling_jax._pytree import Fraction as Fraction
from scaling_jax._pytree import NonNegative as NonNegative
from scaling_jax._pytree import Positive as Positive
from scaling_jax._pytree import Real as Real
from scaling_jax._pytree import coefficients as coefficients
from scaling_jax._pytree import with_coefficients as with_coefficients
from scaling_jax.laws import distillation as distillation
from scaling_jax.laws import downstream as downstream
from scaling_jax.laws import experts as experts
from scaling_jax.laws import overfitted as overfitted
from scaling_jax.laws import precision as precision
from scaling_jax.laws import rules as rules
from scaling_jax.laws import samples as samples
from scaling_jax.laws import schedules as schedules
from scaling_jax.laws import shape as shape
from scaling_jax.laws import sparsity as sparsity
from scaling_jax.laws import streams as streams
from scaling_jax.laws import vocabulary as vocabulary
from scaling_jax.laws.families import (
    TRAIN_FLOPS_PER_PARAM_TOKEN as TRAIN_FLOPS_PER_PARAM_TOKEN,
)
from scaling_jax.laws.families import Allocation as Allocation
from scaling_jax.laws.families import Chinchilla as Chinchilla
from scaling_jax.laws.families import Coupled as Coupled
from scaling_jax.laws.families import Kaplan as Kaplan
from scaling_jax.laws.families import Law as Law
from scaling_jax.laws.families import PowerSum as PowerSum
from scaling_jax.laws.families import Terms as Terms
from scaling_jax.laws.families import Tied as Tied
from scaling_jax.laws.families import log_params_for as log_params_for
from scaling_jax.laws.families import log_tokens_for as log_tokens_for
from scaling_jax.laws.families import optimal_allocation as optimal_allocation
from scaling_jax.laws.families import optimal_log_excess as optimal_log_excess
from scaling_jax.laws.families import optimal_log_params as optimal_log_params
from scaling_jax.laws.files import load as load
from scaling_jax.laws.files import load_sourced as load_sourced
from scaling_jax.laws.files import save as save
from scaling_jax.laws.mixtures import Mixture as Mixture
from scaling_jax.laws.published import BESIROGLU_2024 as BESIROGLU_2024
from scaling_jax.laws.published import HOFFMANN_2022 as HOFFMANN_2022
from scaling_jax.laws.published import HOFFMANN_2022_PRINTED as HOFFMANN_2022_PRINTED
from scaling_jax.laws.published import KAPLAN_2020 as KAPLAN_2020
from scaling_jax.laws.published import MUENNIGHOFF_2023 as MUENNIGHOFF_2023
from scaling_jax.laws.published import PUBLISHED as PUBLISHED
from scaling_jax.laws.published import SARDANA_2024_100 as SARDANA_2024_100
from scaling_jax.laws.published import SARDANA_2024_250 as SARDANA_2024_250
from scaling_jax.laws.published import SARDANA_2024_500 as SARDANA_2024_500
from scaling_jax.laws.published import SARDANA_2024_ALL as SARDANA_2024_ALL
from scaling_jax.laws.registry import FAMILIES as FAMILIES
from scaling_jax.laws.registry import family as family
from scaling_jax.laws.repeated import Repeated as Repeated
from scaling_jax.laws.sourced import Sourced as Sourced
from scaling_jax.laws.sourced import Valid as Valid
from scaling_jax.laws.sourced import unwrapped as unwrapped
from scaling_jax.laws.wider import BoundedRational as BoundedRational
from scaling_jax.laws.wider import ComputeRatio as ComputeRatio
from scaling_jax.laws.wider import CoupledGrowth as CoupledGrowth
from scaling_jax.laws.wider import CoupledRatio as CoupledRatio
from scaling_jax.laws.wider import DriftingRatio as DriftingRatio
from scaling_jax.laws.wider import Farseer as Farseer
from scaling_jax.laws.wider import FixedCapacity as FixedCapacity
from scaling_jax.laws.wider import LogQuadratic as LogQuadratic
from scaling_jax.laws.wider import SaturatingData as SaturatingData
from scaling_jax.laws.wider import ScaledRatio as ScaledRatio
from scaling_jax.laws.wider import TiedCoupled as TiedCoupled
