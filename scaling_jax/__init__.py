"""Which language model to train, for how long, what its whole life costs, and how sure that is.

A law, a cost, a demand: each is a small frozen pytree of numbers with one pure formula.
Everything else is a function of them, and JAX can jit, vmap and differentiate through it.

Names are imported on first use, so that the command line answers `--help` without JAX.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_jax import comparing as comparing
    from scaling_jax import costs as costs
    from scaling_jax import deciding as deciding
    from scaling_jax import fitting as fitting
    from scaling_jax import grids as grids
    from scaling_jax import hardware as hardware
    from scaling_jax import laws as laws
    from scaling_jax import planning as planning
    from scaling_jax import plotting as plotting
    from scaling_jax import runs as runs
    from scaling_jax import serving as serving
    from scaling_jax import shapes as shapes
    from scaling_jax import solve as solve
    from scaling_jax import training as training
    from scaling_jax.comparing import Comparison as Comparison
    from scaling_jax.comparing import compare as compare
    from scaling_jax.costs import Bill as Bill
    from scaling_jax.costs import Cost as Cost
    from scaling_jax.costs import Demand as Demand
    from scaling_jax.costs import Dollars as Dollars
    from scaling_jax.costs import Flops as Flops
    from scaling_jax.costs import LinearCost as LinearCost
    from scaling_jax.costs import ServeFleet as ServeFleet
    from scaling_jax.costs import Service as Service
    from scaling_jax.costs import TrainFleet as TrainFleet
    from scaling_jax.deciding import Commitment as Commitment
    from scaling_jax.deciding import Decision as Decision
    from scaling_jax.deciding import decide as decide
    from scaling_jax.deciding import log_normal as log_normal
    from scaling_jax.fitting import Fit as Fit
    from scaling_jax.fitting import fit as fit
    from scaling_jax.fitting import holdout as holdout
    from scaling_jax.fitting import influence as influence
    from scaling_jax.fitting import profile as profile
    from scaling_jax.fitting import refit as refit
    from scaling_jax.grids import Grid as Grid
    from scaling_jax.grids import axis as axis
    from scaling_jax.grids import grid as grid
    from scaling_jax.laws import Allocation as Allocation
    from scaling_jax.laws import Chinchilla as Chinchilla
    from scaling_jax.laws import Coupled as Coupled
    from scaling_jax.laws import Exponent as Exponent
    from scaling_jax.laws import Floor as Floor
    from scaling_jax.laws import Fraction as Fraction
    from scaling_jax.laws import Kaplan as Kaplan
    from scaling_jax.laws import Law as Law
    from scaling_jax.laws import Mixture as Mixture
    from scaling_jax.laws import NonNegative as NonNegative
    from scaling_jax.laws import Positive as Positive
    from scaling_jax.laws import PowerSum as PowerSum
    from scaling_jax.laws import Real as Real
    from scaling_jax.laws import Repeated as Repeated
    from scaling_jax.laws import Sourced as Sourced
    from scaling_jax.laws import Tied as Tied
    from scaling_jax.laws import Valid as Valid
    from scaling_jax.planning import Limit as Limit
    from scaling_jax.planning import Plan as Plan
    from scaling_jax.planning import PlanError as PlanError
    from scaling_jax.planning import PricedModel as PricedModel
    from scaling_jax.planning import elasticities as elasticities
    from scaling_jax.planning import plan as plan
    from scaling_jax.runs import Runs as Runs
    from scaling_jax.runs import read_runs as read_runs
    from scaling_jax.serving import Operation as Operation
    from scaling_jax.serving import Request as Request
    from scaling_jax.serving import Served as Served
    from scaling_jax.serving import Servers as Servers
    from scaling_jax.serving import calibrate as calibrate
    from scaling_jax.serving import operate as operate
    from scaling_jax.shapes import TransformerShape as TransformerShape
    from scaling_jax.shapes import shape_for as shape_for
    from scaling_jax.solve import Status as Status
    from scaling_jax.solve import minimise as minimise
    from scaling_jax.training import RunConfig as RunConfig
    from scaling_jax.training import prepare as prepare
    from scaling_jax.training import sweep as sweep
    from scaling_jax.training import train as train

_NAMES = {
    "comparing": "Comparison compare",
    "costs": "Bill Cost Demand Dollars Flops LinearCost ServeFleet Service TrainFleet",
    "deciding": "Commitment Decision decide log_normal",
    "fitting": "Fit fit holdout influence profile refit",
    "grids": "Grid axis grid",
    "hardware": "",
    "laws": "Allocation Chinchilla Coupled Exponent Floor Fraction Kaplan Law Mixture "
    "NonNegative Positive PowerSum Real Repeated Sourced Tied Valid",
    "planning": "Limit Plan PlanError PricedModel elasticities plan",
    "plotting": "",
    "runs": "Runs read_runs",
    "serving": "Operation Request Served Servers calibrate operate",
    "shapes": "TransformerShape shape_for",
    "solve": "Status minimise",
    "training": "RunConfig prepare sweep train",
}
_ROOM_OF = {name: room for room, names in _NAMES.items() for name in names.split()}

__version__ = importlib.metadata.version("scaling-jax")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return importlib.import_module(f"scaling_jax.{name}")
    if name in _ROOM_OF:
        value = getattr(importlib.import_module(f"scaling_jax.{_ROOM_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'scaling_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_ROOM_OF})
