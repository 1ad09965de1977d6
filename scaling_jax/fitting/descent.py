"""Descent to the optimum of one lane, and of many lanes in one compiled program.

A lane is a start, a resample, a fold or a point of a profile: its own weights and targets,
and where it starts. Each step offers points along three directions and takes the best:

- Newton's, with the exact Hessian of the Huber objective;
- Gauss-Newton's, with every run weighted by psi(r) / r, which never leaves the way down;
- the same, damped, for starts from which the whole step leads astray;
- both of these bent along the valley, in charts in which valleys are not straight.

Huber's threshold starts wide and shrinks with every step to its value: the first steps see
nearly a least-squares problem, and the last ones the true objective, on which Newton's
method is finite, as it is piecewise nearly quadratic.
"""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.fitting.linear import solve_symmetric
from scaling_jax.fitting.objective import (
    Data,
    Model,
    Objective,
    acceleration_forces,
    model,
    value,
)
from scaling_jax.fitting.tuning import TUNING, lanes_at_a_time, workers

_TINY_DAMPING = 1e-11
# Below this Newton decrement, relative to the objective, a whole Newton step is trusted
# although rounding hides whether the objective falls; below the second it is over.
_NEARLY_THERE = 1e-9
_THERE = 1e-24
_FALLING = 0.1  # a decrement that falls by less than this is rounding error
_CONVERGED = 1e-10
# Half the square of a residual that is rounding error.
_ROUNDING = 1e-30


class Springs(NamedTuple):
    """What draws a coefficient to a value, with energy m/2 (g - v)^2.

    `which` picks the coefficient, one-hot in the chart's position, [lanes, p]; `value` v and
    `stiffness` m are [lanes].
    """

    which: Any
    value: Any
    stiffness: Any


class Lanes(NamedTuple):
    """Many problems on the same points: theta [lanes, p], the rest [lanes, n] or [lanes].

    `springs`, where there are any, are a part of what the lanes minimise.
    """

    theta: Any
    target: Any
    weight: Any
    first_delta: Any
    springs: Springs | None = None


class Ends(NamedTuple):
    """Where the lanes ended: theta [lanes, p], objective [lanes], converged [lanes]."""

    theta: Any
    objective: Any
    converged: Any


class _State(NamedTuple):
    theta: Any
    value: Any
    decrement: Any
    moving: Any
    step: Any


Extra = Callable[[jax.Array], jax.Array]
Progress = Callable[[int, int], None]


def descend(
    objective: Objective,
    theta: jax.Array,
    data: Data,
    delta: jax.Array,
    first_delta: jax.Array,
    extra: Extra | None = None,
) -> _State:
    """Return the end of one lane's descent; `extra(theta)` is added to the objective."""
    most = jnp.asarray(TUNING.most_steps)
    infinity = jnp.full_like(delta, jnp.inf)
    start = _State(theta, infinity, infinity, jnp.asarray(True), jnp.asarray(0))
    return jax.lax.while_loop(
        lambda state: state.moving,
        lambda state: _advance(objective, state, data, delta, first_delta, most, extra),
        start,
    )


def is_final(state: _State, data: Data) -> Any:
    """Return whether a descent, or each of many, has ended at an optimum."""
    nothing = 100 * _ROUNDING * data.weight.sum(axis=-1)
    # In 32-bit the objective itself is not known better.
    share = max(_CONVERGED, 1e3 * float(jnp.finfo(state.value.dtype).eps))
    small = (state.decrement <= share * state.value) | (state.value <= nothing)
    return small & jnp.isfinite(state.value) & jnp.isfinite(state.theta).all(axis=-1)


def _advance(
    objective: Objective,
    state: _State,
    data: Data,
    delta: jax.Array,
    first_delta: jax.Array,
    most_steps: jax.Array,
    extra: Extra | None,
) -> _State:
    shrunk = first_delta * TUNING.shrink ** state.step.astype(first_delta.dtype)
    # The comparison is false for an infinite delta: squared error.
    threshold = jnp.where(shrunk > delta, shrunk, delta)

    def total(theta: jax.Array) -> jax.Array:
        plain = value(objective, theta, data, threshold)
        return plain if extra is None else plain + extra(theta)

    near = model(objective, state.theta, data, threshold)
    if extra is not None:
        curvature = jax.hessian(extra)(state.theta)
        near = Model(
            value=near.value + extra(state.theta),
            gradient=near.gradient + jax.grad(extra)(state.theta),
            hessian=near.hessian + curvature,
            gauss=near.gauss + curvature,
        )
    steps = _steps(near, objective, state.theta, data, threshold)
    trials = jnp.concatenate([state.theta[None], state.theta[None] - steps])
    values = jnp.append(near.value, jax.vmap(total)(trials[1:]))
    values = jnp.where(jnp.isfinite(values), values, jnp.inf)
    new = _next(state, trials, values, near.gradient @ steps[0], threshold <= delta)
    resolved = new.value <= _ROUNDING * jnp.sum(data.weight)
    return new._replace(moving=new.moving & ~resolved & (new.step < most_steps))


def _steps(
    near: Model, objective: Objective, theta: jax.Array, data: Data, delta: jax.Array
) -> jax.Array:
    """Return the steps to try, [steps, p], the whole Newton step first."""
    diagonal = jnp.diagonal(near.gauss)
    scale = jnp.maximum(diagonal, 1e-10 * jnp.max(diagonal)) + 1e-300
    matrices = jnp.stack([near.hessian, near.gauss, near.gauss])
    dampings = jnp.array([_TINY_DAMPING, _TINY_DAMPING, TUNING.damping])
    solve = jax.vmap(solve_symmetric, in_axes=(0, 0, None, 0))
    newton, *gauss = solve(matrices, jnp.stack([near.gradient] * 3), scale, dampings)
    steps = [*(length * newton for length in TUNING.newton), *gauss]
    if not objective.chart.straight:
        forces = jax.vmap(
            lambda step: acceleration_forces(objective, theta, data, delta, step)
        )(jnp.stack(gauss))
        bends = solve(matrices[1:], forces, scale, dampings[1:])
        steps += [step + bend / 2 for step, bend in zip(gauss, bends, strict=True)]
    return jnp.stack(steps)


def _next(
    state: _State,
    trials: jax.Array,
    values: jax.Array,
    decrement: jax.Array,
    final: jax.Array,
) -> _State:
    """Return the state at the best trial; trial 0 is to stay, trial 1 the Newton step."""
    here = values[0]
    nearly = (decrement < _NEARLY_THERE * here) & (values[1] < here * (1 + 1e-12))
    best = jnp.where(nearly, 1, jnp.argmin(values))
    over = (decrement <= _THERE * here) | (decrement > _FALLING * state.decrement)
    return _State(
        theta=trials[best],
        value=values[best],
        decrement=decrement,
        moving=~(final & ((best == 0) | (nearly & over))),
        step=state.step + 1,
    )


@functools.partial(jax.jit, static_argnames="objective")
def _descend_block(
    objective: Objective,
    lanes: Lanes,
    states: _State,
    data: Data,
    delta: Any,
    patience: Any,
    most_steps: Any,
) -> _State:
    """Return the states when no more than `patience` lanes are left moving."""

    def advance(lane: Lanes, state: _State) -> _State:
        extra = _energy(objective, lane.springs, data)
        own = data._replace(target=lane.target, weight=data.weight * lane.weight)
        new = _advance(objective, state, own, delta, lane.first_delta, most_steps, extra)
        return jax.tree.map(functools.partial(jnp.where, state.moving), new, state)

    return jax.lax.while_loop(
        lambda states: jnp.sum(states.moving) > patience,
        lambda states: jax.vmap(advance)(lanes, states),
        states,
    )


def _energy(objective: Objective, spring: Springs | None, data: Data) -> Extra | None:
    if spring is None:
        return None

    def energy(theta: jax.Array) -> jax.Array:
        place = spring.which @ objective.chart.position(theta, data.points)
        return spring.stiffness / 2 * (place - spring.value) ** 2

    return energy


def descend_lanes(
    objective: Objective,
    lanes: Lanes,
    data: Data,
    delta: float,
    *,
    most_steps: int = TUNING.most_steps,
    progress: Progress | None = None,
) -> Ends:
    """Return where every lane ends, as NumPy arrays; call it under `jax.enable_x64(True)`.

    Blocks of lanes share one compiled program and run on as many threads as the machine has
    cores. A block stops when few of its lanes are left moving, and those go on together: no
    lane waits for another. After each, progress(lanes at rest, lanes in all) is called, by
    one thread at a time and with numbers that never fall.
    """
    count, runs = lanes.weight.shape
    width = lanes_at_a_time(runs)
    infinity = np.full(count, np.inf)
    states = _State(
        theta=np.array(lanes.theta, float),
        value=infinity,
        decrement=infinity.copy(),
        moving=np.ones(count, bool),
        step=np.zeros(count, int),
    )
    left, telling = np.arange(count), threading.Lock()
    with ThreadPoolExecutor(max_workers=workers()) as pool:
        while left.size:

            def block(first: int, left: np.ndarray = left) -> None:
                index = left[np.minimum(np.arange(first, first + width), left.size - 1)]
                own, start = jax.tree.map(lambda leaf: leaf[index], (lanes, states))
                patience = width // TUNING.patience if left.size > width else 0
                with jax.enable_x64(True):
                    end = _descend_block(
                        objective, own, start, data, delta, patience, most_steps
                    )
                    for leaf, new in zip(states, end, strict=True):
                        leaf[index] = np.asarray(new)
                if progress is not None:
                    with telling:
                        progress(count - int(states.moving.sum()), count)

            list(pool.map(block, range(0, left.size, width)))
            left = left[states.moving[left]]
    own = data._replace(weight=lanes.weight * data.weight)
    return Ends(states.theta, states.value, np.array(is_final(states, own)))
