"""The global optimum, from no starting value."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.fitting.charts import LawChart
from scaling_jax.fitting.descent import Ends, Lanes, Progress, Springs, descend_lanes
from scaling_jax.fitting.objective import Data, Objective, residuals
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.starts import starting_points
from scaling_jax.fitting.tuning import TUNING
from scaling_jax.laws import Law


class Optimum(NamedTuple):
    """The best end of all starts."""

    theta: np.ndarray
    objective: float
    converged: bool
    agreeing: int
    starts: int

    @property
    def starts_converged(self) -> float:
        """The share of the starts that ended at the optimum."""
        return self.agreeing / self.starts


def find_optimum(
    problem: Problem,
    starts: int,
    seed: int,
    guess: Law | None,
    restarts: int = TUNING.batches * TUNING.rounds,
) -> Optimum:
    """Return the lowest end of `starts` descents; call it under `jax.enable_x64(True)`.

    Where too few of them agree there are `restarts` rounds of restarts at most, and after
    every `TUNING.rounds` of them the starts are drawn anew.
    """
    rng = np.random.default_rng(seed)
    seen = problem._replace(data=_sample(problem))
    first = Ends(np.zeros((0, problem.chart.size)), np.zeros(0), np.zeros(0, bool))
    for done in range(0, max(restarts, 1), TUNING.rounds):
        thetas = starting_points(seen, starts, rng, guess)
        ends = descend(seen, thetas, TUNING.wide, most_steps=TUNING.first_steps)
        first = Ends(*map(np.concatenate, zip(first, ends, strict=True)))
        first = _restarted(seen, first, rng, min(TUNING.rounds, restarts - done))
        if _enough(first, seen.data):
            break
    ends = first
    if seen.data is not problem.data:
        finalists = _finalists(first)
        ends = descend(problem, finalists, warm_delta(problem, finalists[0]))
    ends = _final(problem, ends)
    best = int(np.argmin(ends.objective))
    lowest = ends.objective[best] if seen.data is problem.data else first.objective.min()
    if not np.isfinite(ends.objective[best]):
        raise Refusal(
            f"no start of {problem.chart.family} has a finite objective; give a law "
            "with coefficients that suit the runs in place of the family"
        )
    return Optimum(
        theta=ends.theta[best],
        objective=float(ends.objective[best]),
        converged=bool(ends.converged[best]),
        agreeing=int(np.sum(_agree(first.objective, lowest, seen.data))),
        starts=len(first.objective),
    )


def _agree(objectives: np.ndarray, lowest: float, data: Data) -> np.ndarray:
    """Return which objectives are the lowest, but for rounding."""
    return objectives <= lowest * (1 + TUNING.same) + TUNING.nothing**2 * np.sum(data.weight)


def _enough(ends: Ends, data: Data) -> bool:
    """Return whether so many agree that more need not be tried, or none can be."""
    lowest = ends.objective.min()
    agreeing = np.sum(_agree(ends.objective, lowest, data))
    return agreeing >= min(TUNING.enough, len(ends.objective)) or not np.isfinite(lowest)


def _restarted(problem: Problem, ends: Ends, rng: np.random.Generator, rounds: int) -> Ends:
    """Return ends of which enough agree, or as many as can be made to.

    Each of the best, distinct ends goes on alone: from it, descents on resampled runs, and
    from where those end on the real ones; what is lower takes its place. Resampled runs have
    valleys elsewhere, so that no spurious one holds all of them. Source: Wood, "Minimizing
    model fitting objectives that contain spurious local minima by bootstrap restarting",
    Biometrics 57 (2001).
    """
    chosen = _distinct(ends.objective)
    for _ in range(rounds):
        if _enough(ends, problem.data):
            break
        each = TUNING.restarts * TUNING.lineages // len(chosen)
        parents = np.repeat(chosen, each)
        again = _from_resamples(problem, ends.theta[parents], rng)
        for parent in chosen:
            own = np.flatnonzero(parents == parent)
            best = own[np.argmin(again.objective[own])]
            if again.objective[best] < ends.objective[parent]:
                for leaf, new in zip(ends, again, strict=True):
                    leaf[parent] = new[best]
    return ends


def _distinct(objectives: np.ndarray) -> np.ndarray:
    """Return the places of the best ends that differ from each other."""
    order = np.argsort(objectives)
    order = order[np.isfinite(objectives[order])]
    apart = np.append(True, np.diff(objectives[order]) > TUNING.same * objectives[order][:-1])
    return order[apart][: TUNING.lineages]


def _from_resamples(problem: Problem, thetas: np.ndarray, rng: np.random.Generator) -> Ends:
    """Return ends on the real runs of descents that began on resampled ones."""
    weight = problem.data.weight
    counted = weight > 0
    drawn = rng.multinomial(counted.sum(), counted / counted.sum(), len(thetas))
    lanes = Lanes(
        theta=thetas,
        target=np.broadcast_to(problem.data.target, (len(thetas), len(weight))),
        weight=drawn.astype(float),
        first_delta=np.full(len(thetas), TUNING.nudge),
    )
    moved = descend_lanes(
        problem.objective, lanes, problem.data, problem.delta, most_steps=TUNING.short
    )
    return descend(problem, moved.theta, TUNING.nudge, most_steps=TUNING.again_steps)


def _finalists(ends: Ends) -> np.ndarray:
    return ends.theta[np.argsort(ends.objective)[: TUNING.finalists]]


def _final(problem: Problem, ends: Ends) -> Ends:
    """Return ends of which the best is final, or as good as it gets.

    Huber's kinks can stop a descent short of the optimum; another first threshold meets
    others of them.
    """
    firsts = np.geomspace(min(problem.delta, TUNING.wide), TUNING.wide, TUNING.thresholds)
    for _ in range(TUNING.final_rounds):
        if ends.converged[np.argmin(ends.objective)]:
            break
        finalists = _finalists(ends)
        again = np.repeat(finalists, TUNING.thresholds, axis=0)
        ends = descend(problem, again, np.tile(firsts, len(finalists)))
    return ends


def descend(
    problem: Problem,
    thetas: np.ndarray,
    first_delta: Any,
    springs: Springs | None = None,
    most_steps: int = TUNING.most_steps,
) -> Ends:
    """Return the ends of descents that all see the problem's own targets and weights."""
    count, data = len(thetas), problem.data
    lanes = Lanes(
        theta=thetas,
        target=np.broadcast_to(data.target, (count, len(data.target))),
        weight=np.ones((count, len(data.target))),
        first_delta=np.broadcast_to(first_delta, count),
        springs=springs,
    )
    return descend_lanes(problem.objective, lanes, data, problem.delta, most_steps=most_steps)


def descend_again(
    problem: Problem,
    theta: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the optima of other targets or weights, [lanes, n], starting from one optimum.

    Where predictions are linear in theta the objective is convex, and its one valley is
    found. Lanes that end too far away for that descend once more, from a wide first
    threshold: the two rarely end in different valleys, and then the lower one counts.
    """
    count, narrow = len(target), warm_delta(problem, theta)
    start = off_bounds(problem, theta)
    starts = np.broadcast_to(start, (count, len(theta)))
    lanes = Lanes(starts, target, weight, first_delta=np.full(count, narrow))
    ends = descend_lanes(
        problem.objective, lanes, problem.data, problem.delta, progress=progress
    )
    linear = _linear_objectives(problem, start, ends.theta, lanes)
    doubtful = np.flatnonzero(
        ~(np.abs(linear - ends.objective) <= TUNING.linear * ends.objective)
    )
    if doubtful.size:
        lanes = jax.tree.map(lambda leaf: leaf[doubtful], lanes)
        lanes = lanes._replace(first_delta=TUNING.wider * lanes.first_delta)
        second = descend_lanes(problem.objective, lanes, problem.data, problem.delta)
        lower = second.objective < ends.objective[doubtful]
        ends.theta[doubtful[lower]] = second.theta[lower]
    return ends.theta


def off_bounds(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return a point off the bounds of its coefficients, where the objective is flat."""
    chart = problem.chart
    if not isinstance(chart, LawChart):  # whose bounds all are at zero
        return np.where(np.abs(theta) < TUNING.off_bound, TUNING.off_bound, theta)
    moved = theta + TUNING.off_bound
    still = np.isclose(chart.values(moved), chart.values(theta), rtol=1e-2, atol=1e-12)
    return np.where(still, moved, theta)


def _linear_objectives(
    problem: Problem, start: np.ndarray, thetas: np.ndarray, lanes: Lanes
) -> np.ndarray:
    """Return what the lanes' objectives would be, were predictions linear from the start."""
    data, delta = problem.data, problem.delta
    moved = (thetas - start) @ np.asarray(residual_slopes(problem.objective, start, data)).T
    r = np.asarray(_residuals(problem.objective, start, data)) + moved
    r += data.precision * (data.target - lanes.target)
    slope = np.clip(r, -delta, delta)
    return np.einsum("ln,ln,n->l", lanes.weight, slope * (r - slope / 2), data.weight)


def warm_delta(problem: Problem, theta: np.ndarray) -> float:
    """Return the first threshold of descents that start near their end."""
    sizes = np.abs(scaled_residuals(problem, theta))
    return max(min(problem.delta, TUNING.wide), float(np.median(sizes)))


def scaled_residuals(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return c_i (prediction_i - target_i) of every run."""
    padded = _residuals(problem.objective, theta, problem.data)
    return np.asarray(padded)[: len(problem.runs)]


@functools.partial(jax.jit, static_argnames="objective")
def _residuals(objective: Objective, theta: Any, data: Data) -> jax.Array:
    return residuals(objective, theta, data)


@functools.partial(jax.jit, static_argnames="objective")
def residual_slopes(objective: Objective, theta: Any, data: Data) -> jax.Array:
    """Return the derivatives of the scaled residuals, [n, p]."""
    return jax.jacfwd(lambda t: residuals(objective, t, data))(theta)


def _sample(problem: Problem) -> Data:
    """Return all data, or of many runs that count a sample that is even in tokens/param."""
    counted = np.flatnonzero(problem.counted)
    if len(counted) <= TUNING.many_runs:
        return problem.data
    ranks = np.linspace(0, len(counted) - 1, TUNING.sample).astype(int)
    ratios = problem.runs.tokens_per_param[counted]
    rows = counted[np.argsort(ratios, kind="stable")[ranks]]
    points, target, weight, precision = problem.data
    return Data(points.at(rows), target[rows], weight[rows], precision[rows])
