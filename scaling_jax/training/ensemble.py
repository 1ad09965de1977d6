"""`train_ensemble`: several seeds or learning rates of one model, in one compiled program."""

import dataclasses
import functools
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.training.checking import check_run
from scaling_jax.training.config import RunConfig
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.heldout import heldout_loss, window_losses
from scaling_jax.training.loading import Batches, batches
from scaling_jax.training.model import graph_of
from scaling_jax.training.recipe import Schedule
from scaling_jax.training.run_record import RunRecord, facts
from scaling_jax.training.step import State, advance, initial_state, smoothed


def train_ensemble(
    config: RunConfig,
    corpus: Corpus,
    *,
    seeds: Sequence[int],
    peak_learning_rates: Sequence[float] | None = None,
) -> list[RunRecord]:
    """Train members that differ in seed and peak learning rate, by `vmap`, and record each.

    Each member is the run that `train` makes of the same configuration, to float tolerance. A
    small model leaves an accelerator idle; an ensemble of it costs little more than one. It
    runs on one device and in memory: nothing is written, nothing is resumed.

    Args:
        config: the run; its seed is not used.
        corpus: on what.
        seeds: a member each; parameters and data are drawn with it.
        peak_learning_rates: of each member, instead of the recipe's.

    Returns:
        A record a member; `seconds` is its share of the time.

    Raises:
        ValueError: there is no seed, not one learning rate for each, or the corpus does not
            serve, as in `train`.
    """
    seeds = [dataclasses.replace(config, seed=seed).seed for seed in seeds]  # checked
    peaks = peak_learning_rates
    peaks = [config.schedule.peak] * len(seeds) if peaks is None else list(peaks)
    if not seeds or len(peaks) != len(seeds):
        raise ValueError(
            f"there are {len(seeds)} seeds and {len(peaks)} learning rates; "
            "each member needs one of each"
        )
    check_run(config, corpus)
    begin = time.perf_counter()
    data = [
        batches(corpus, length=config.length, batch=config.batch, seed=seed) for seed in seeds
    ]
    state = _trained(config, data, jnp.asarray(seeds), jnp.asarray(peaks, jnp.float32))
    jax.block_until_ready(state.params)
    seconds = (time.perf_counter() - begin) / len(seeds)
    losses, tokens = _heldout(config, corpus, state)
    recent = smoothed(state.recent, config.steps)
    known = facts(config, corpus, config.steps) | {
        "heldout_tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": config.steps * config.step_tokens / seconds,
        "mfu": float("nan"),  # the members share the devices
        "devices": f"1 x {jax.devices()[0].device_kind}",
    }
    return [
        RunRecord(
            **known
            | {
                "status": "finished" if np.isfinite(loss) else "diverged",
                "loss": float(loss),
                "train_loss": float(train_loss),
                "seed": seed,
                "peak_learning_rate": float(peak),
            }
        )
        for loss, train_loss, seed, peak in zip(losses, recent, seeds, peaks, strict=True)
    ]


def _trained(
    config: RunConfig, data: list[Batches], seeds: jax.Array, peaks: jax.Array
) -> State:
    """Return the last state, each leaf with a leading axis over the members."""
    graph = graph_of(config.shape, config.options)
    whole = config.schedule

    def member(
        peak: jax.Array, state: State, windows_SxBxT1: jax.Array, count: jax.Array
    ) -> State:
        schedule = Schedule(peak=peak, steps=whole.steps, warmup_steps=whole.warmup_steps)
        step = functools.partial(advance, graph, config.recipe, config.accumulate)
        return step(schedule, state, windows_SxBxT1, count)[0]

    together = jax.jit(jax.vmap(member, in_axes=(0, 0, 0, None)), donate_argnums=1)
    state = jax.jit(
        jax.vmap(functools.partial(initial_state, config.shape, config.options, config.recipe))
    )(seeds)
    per_call = config.steps_per_call
    for start in range(0, config.steps, per_call):
        # The windows behind the last step are drawn and not used: one program for all calls.
        windows = np.stack([each.chunk(start, per_call) for each in data])
        state = together(peaks, state, windows, min(per_call, config.steps - start))
    return state


def _heldout(config: RunConfig, corpus: Corpus, state: State) -> tuple[np.ndarray, int]:
    """Return each member's held-out loss, and the tokens that it is the mean over."""
    graph = graph_of(config.shape, config.options)
    losses = jax.jit(jax.vmap(functools.partial(window_losses, graph), in_axes=(0, None)))
    return heldout_loss(config, corpus, lambda windows: losses(state.params, windows), 1)
