"""The compiled programs of a model on a mesh, shared by all its runs in a process."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.checkpoints import abstract
from scaling_jax.training.heldout import window_losses
from scaling_jax.training.mesh import state_shardings
from scaling_jax.training.model import ModelOptions, graph_of
from scaling_jax.training.recipe import Recipe
from scaling_jax.training.step import State, advance, initial_state


class Programs(NamedTuple):
    """What a run calls.

    Attributes:
        start: a seed to the state before the first step.
        advance: `step.advance` of a schedule, a state, windows and their count.
        heldout: parameters and windows [windows, T + 1] to the loss of each, on every process.
        like: stand-ins for the leaves of a state: shape, dtype and place.
    """

    start: Callable[[int], State]
    advance: Callable[..., Any]
    heldout: Callable[..., jax.Array]
    like: Any


@functools.lru_cache(maxsize=8)
def programs(
    shape: TransformerShape, options: ModelOptions, recipe: Recipe, accumulate: int, mesh: Mesh
) -> Programs:
    """Return the programs; those of one shape object are compiled once a process."""
    graph = graph_of(shape, options)
    start = functools.partial(initial_state, shape, options, recipe)
    shapes = jax.eval_shape(start, 0)
    shardings = state_shardings(mesh, shapes)
    return Programs(
        start=jax.jit(start, out_shardings=shardings),
        advance=jax.jit(
            functools.partial(advance, graph, recipe, accumulate),
            donate_argnums=1,
            out_shardings=(shardings, None),
        ),
        heldout=jax.jit(
            functools.partial(window_losses, graph), out_shardings=NamedSharding(mesh, jax.P())
        ),
        like=abstract(shapes, shardings),
    )
