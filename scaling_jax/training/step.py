"""The compiled part of training: many optimiser steps in one call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from scaling_jax._pytree import Record
from scaling_jax.shapes import TransformerShape
from scaling_jax.training.model import ModelOptions, Params, build, next_token_loss
from scaling_jax.training.recipe import Recipe, Schedule, transformation

SMOOTHED_BATCHES = 10  # Sardana et al., section 3: final loss over the last ten batches

LossAndGrad = Callable[[Params, jax.Array], tuple[jax.Array, Params]]


class State(Record):
    """All that a step changes: what a checkpoint holds.

    `recent` are the losses of the last ten batches, newest last, NaN before there were any.
    """

    step: jax.Array
    params: Params
    moments: Any
    recent: jax.Array


class Metrics(Record):
    """Loss and gradient norm (before clipping) of each step; NaN where none was taken."""

    loss: jax.Array
    grad_norm: jax.Array


def initial_state(
    shape: TransformerShape, options: ModelOptions, recipe: Recipe, seed: jax.Array | int
) -> State:
    """Return the state before the first step; pure: jit it, shard it, vmap it."""
    _, params = build(shape, options, jax.random.key(seed))
    unused = Schedule(peak=1.0, steps=1, warmup_steps=1)  # moments do not depend on it
    return State(
        step=jnp.int32(0),
        params=params,
        moments=transformation(recipe, unused).init(params),
        recent=jnp.full((SMOOTHED_BATCHES,), jnp.nan, jnp.float32),
    )


def advance(
    graph: Any,
    recipe: Recipe,
    accumulate: int,
    schedule: Schedule,
    state: State,
    windows_SxBxT1: jax.Array,
    count: jax.Array | int,
) -> tuple[State, Metrics]:
    """Return the state after `count` <= S steps, on batches of windows of T + 1 tokens.

    `schedule` and `count` are traced: one program serves every run of a model, whole calls
    and the shorter last one.
    """
    optimizer = transformation(recipe, schedule)

    def loss_and_grad(params: Params, windows_BxT1: jax.Array) -> tuple[jax.Array, Params]:
        return jax.value_and_grad(lambda p: next_token_loss(graph, p, windows_BxT1))(params)

    def one(index: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, metrics = carry
        loss, grad = _accumulated(
            loss_and_grad, state.params, windows_SxBxT1[index], accumulate
        )
        # Optax is not written for callers who run under strict promotion.
        with jax.named_scope("optimizer"), jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(grad, state.moments, state.params)
            params = optax.apply_updates(state.params, updates)
        after = State(
            step=state.step + 1,
            params=params,
            moments=moments,
            recent=jnp.concatenate([state.recent[1:], loss[None]]),
        )
        return after, Metrics(
            loss=metrics.loss.at[index].set(loss),
            grad_norm=metrics.grad_norm.at[index].set(optax.tree.norm(grad)),
        )

    empty = jnp.full((windows_SxBxT1.shape[0],), jnp.nan, jnp.float32)
    return jax.lax.fori_loop(0, count, one, (state, Metrics(loss=empty, grad_norm=empty)))


def smoothed(recent: jax.Array, steps: int) -> np.ndarray:
    """Return the mean of the last ten losses, or of fewer steps, on the last axis."""
    return np.asarray(recent)[..., -min(steps, SMOOTHED_BATCHES) :].mean(axis=-1)


def _accumulated(
    loss_and_grad: LossAndGrad, params: Params, windows_BxT1: jax.Array, parts: int
) -> tuple[jax.Array, Params]:
    """Return the mean loss and gradient over equal parts of a batch, one part at a time."""
    if parts == 1:
        return loss_and_grad(params, windows_BxT1)
    # Interleaved, so that each part spreads over all devices of a sharded batch.
    split = jnp.swapaxes(windows_BxT1.reshape(-1, parts, windows_BxT1.shape[-1]), 0, 1)

    def add(total: Any, part: jax.Array) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, loss_and_grad(params, part)), None

    shapes = jax.eval_shape(loss_and_grad, params, split[0])
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, zero, split)
    return jax.tree.map(lambda leaf: leaf / parts, total)
