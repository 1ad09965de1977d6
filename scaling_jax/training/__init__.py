"""The bundled Flax transformer, its data, its loop, its checkpoints, the validation sweep.

The only room that imports Flax, Orbax and Grain: the extra `train`.
"""

from scaling_jax.training.config import RunConfig as RunConfig
from scaling_jax.training.corpus import Corpus as Corpus
from scaling_jax.training.corpus import prepare as prepare
from scaling_jax.training.ensemble import train_ensemble as train_ensemble
from scaling_jax.training.estimate import Estimate as Estimate
from scaling_jax.training.estimate import Machine as Machine
from scaling_jax.training.estimate import estimate as estimate
from scaling_jax.training.model import ModelOptions as ModelOptions
from scaling_jax.training.recipe import RECIPES as RECIPES
from scaling_jax.training.recipe import Recipe as Recipe
from scaling_jax.training.run_record import RunRecord as RunRecord
from scaling_jax.training.sweep import recipe_of as recipe_of
from scaling_jax.training.sweep import status as status
from scaling_jax.training.sweep import sweep as sweep
from scaling_jax.training.sweep_recipes import SWEEPS as SWEEPS
from scaling_jax.training.sweep_recipes import PlannedRun as PlannedRun
from scaling_jax.training.sweep_recipes import SweepRecipe as SweepRecipe
from scaling_jax.training.trainer import Progress as Progress
from scaling_jax.training.trainer import train as train
