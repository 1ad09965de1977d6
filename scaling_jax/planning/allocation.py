"""The model that is optimal for training compute, under any law."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._axes import check_axes
from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number
from scaling_jax.costs import Demand, Flops
from scaling_jax.laws import Allocation, unwrapped
from scaling_jax.planning.matching import optimal_log_tokens
from scaling_jax.planning.planner import plan
from scaling_jax.planning.scenario import LOG_PARAMS, as_power_sum, loss_of
from scaling_jax.solve import increasing_root


def compute_optimal(
    law: Any,
    *,
    train_flops: Number | None = None,
    params: Number | None = None,
    tokens: Number | None = None,
    loss: Number | None = None,
    axes: Mapping[str, Any] | None = None,
) -> Allocation:
    """Return the allocation of least training compute, 6 N D, demand ignored.

    In closed form for a law that is a sum of powers. For any other the size or the tokens
    follow from one another by dL/dlog N = dL/dlog D, and both from compute or loss by `plan`.

    Args:
        law: any law, as `plan` takes it.
        train_flops, params, tokens, loss: one of them.
        axes: the values of further axes that the law reads, by name.

    Raises:
        ValueError: not exactly one of the four is given, or an axis is missing or not read.
        PlanError: of a law that is no sum of powers, no model has such a loss.

    Example:
        >>> from scaling_jax.laws import MUENNIGHOFF_2023
        >>> best = compute_optimal(
        ...     MUENNIGHOFF_2023, params=8.67e9, axes={"unique_tokens": 25e9})
        >>> print(f"{best.tokens / 25e9:.1f} epochs")
        12.7 epochs
    """
    law, axes = unwrapped(law), dict(axes or {})
    named = dict(train_flops=train_flops, params=params, tokens=tokens, loss=loss)
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "compute_optimal takes exactly one of train_flops, params, tokens and loss; it "
            f"was given {', '.join(given) or 'none'}"
        )
    check_axes(law, Flops(), axes)
    power = as_power_sum(law, axes)
    if power is not None:
        return power.compute_optimal(**given)
    if "params" in given or "tokens" in given:
        log_params, log_tokens = _beside(law, given, axes)
        return Allocation(params=jnp.exp(log_params), tokens=jnp.exp(log_tokens))
    best = plan(law, Flops(), Demand(), loss=loss, budget=train_flops, axes=axes)
    return Allocation(params=best.params, tokens=best.tokens)


def _beside(
    law: Any, given: dict[str, Number], axes: dict[str, Any]
) -> tuple[jax.Array, jax.Array]:
    """Return log N and log D where one of them is given."""
    given, axes = as_floats(given=given, axes=axes)
    if "params" in given:
        log_params = jnp.log(given["params"])
        return log_params, optimal_log_tokens(law, log_params, axes)
    log_tokens = jnp.log(given["tokens"])

    def excess(log_params: jax.Array) -> jax.Array:
        """Return how much more tokens lower the loss than parameters: less in small models."""
        by_params, by_tokens = jax.grad(lambda n, d: jnp.sum(loss_of(law, n, d, axes)), (0, 1))(
            log_params + 0 * log_tokens, log_tokens + 0 * log_params
        )
        return by_params - by_tokens

    return increasing_root(excess, *LOG_PARAMS), log_tokens
