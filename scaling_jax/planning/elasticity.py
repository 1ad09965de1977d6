"""How strongly each input of a plan moves each of its outputs."""

from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax.planning.functions import Traced
from scaling_jax.planning.planner import CostLike, LawLike, compiled_plan, plan, plan_inputs

_OUTPUTS = ("params", "tokens", "loss", "train_cost", "serve_cost", "total_cost")
_NAMES = ("law", "cost", "demand", "", "axes", "choices", "choices", "constraints")


def elasticities(
    law: LawLike, cost: CostLike, demand: Any, **question: Any
) -> dict[str, dict[str, jax.Array]]:
    """Return the table d log(output) / d log(input) at the optimum: by how many per cent
    each output of `plan` moves when an input grows by one per cent.

    An output that is zero and stays so, such as the serving cost at no demand, has the
    elasticity zero.

    Args:
        law, cost, demand, **question: as `plan` takes them, for a single scenario.

    Returns:
        `table[output][input]`; inputs are dotted paths such as `law.alpha`,
        `cost.serve.decode_mfu`, `demand.output_tokens`, `loss`, `axes.unique_tokens`.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> table = elasticities(
        ...     laws.HOFFMANN_2022, Flops(), Demand(output_tokens=2e12), loss=1.947)
        >>> print(f"{table['params']['demand.output_tokens']:.3f}")
        -0.213
    """
    plan(law, cost, demand, **question)  # refuses what has no plan
    optimiser = question.pop("optimiser", None)
    inputs = plan_inputs(law, cost, demand, **question)
    paths, structure = jax.tree.flatten_with_path(inputs, is_leaf=_is_function)
    leaves = [leaf for _, leaf in paths]
    values, slopes = _slopes(leaves, structure, optimiser)
    names = [_name(path) for path, _ in paths]
    numeric = [i for i, leaf in enumerate(leaves) if not _is_function(leaf)]
    return {
        output: {
            names[i]: _elasticity(slope, leaves[i], values[output])
            for i, slope in zip(numeric, slopes[output], strict=True)
        }
        for output in _OUTPUTS
    }


@jax.jit(static_argnames=("structure", "optimiser"))
def _slopes(leaves: list[Any], structure: Any, optimiser: Any) -> Any:
    numeric = [i for i, leaf in enumerate(leaves) if not _is_function(leaf)]

    def outputs(numbers: list[jax.Array]) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        changed = list(leaves)
        for i, number in zip(numeric, numbers, strict=True):
            changed[i] = number
        inputs = jax.tree.unflatten(structure, changed)
        answer = compiled_plan(*inputs, optimiser=optimiser)
        values = {name: jnp.asarray(getattr(answer, name)) for name in _OUTPUTS}
        return values, values

    slopes, values = jax.jacfwd(outputs, has_aux=True)([leaves[i] for i in numeric])
    return values, slopes


def _elasticity(slope: jax.Array, x: jax.Array, value: jax.Array) -> jax.Array:
    moved = slope * x
    still = (moved == 0) & (value == 0)
    return jnp.where(still, 0.0, moved / jnp.where(still, 1.0, value))


def _is_function(leaf: Any) -> bool:
    return isinstance(leaf, Traced)


def _name(path: Any) -> str:
    first = _NAMES[path[0].idx]
    rest = jax.tree_util.keystr(path[1:], simple=True, separator=".")
    return f"{first}.{rest}" if first else rest
