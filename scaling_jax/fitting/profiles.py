"""Profile likelihood: how badly the runs are fitted when one coefficient is held elsewhere.

A coefficient g(theta) is drawn to a value v by a spring,

    min over theta of  F(theta) + m/2 (g(theta) - v)^2 .

Where that ends, theta is the exact optimum of F among all laws of the same g(theta): its
F is the profile there, whatever the spring's stiffness m. So the constraint needs no solver
of its own. Twice the rise of F over its dispersion is compared with Student's t squared.
"""

from typing import NamedTuple

import jax
import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax._pytree import Domain
from scaling_jax.fitting.charts import is_positive
from scaling_jax.fitting.curvature import Marginal, clipped, curvature, marginals
from scaling_jax.fitting.descent import Ends, Springs
from scaling_jax.fitting.optimum import descend, warm_delta
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.records import Fit
from scaling_jax.fitting.resampling import student_quantile

# How far a profile reaches, in half-widths of the interval from the curvature.
_REACH = 2.5
_MAX_REACH = 7.0  # in the logarithm of a coefficient: a factor of 1,000
# Springs this much stiffer than the valley: a point ends within 1 % of where it is drawn.
_STIFFNESS = 100.0


class Profile(NamedTuple):
    """The objective as a function of one coefficient, the others at their best.

    `values` rises; `objective` is at each of them; `interval` holds the values whose
    objective is within the 95 % limit, unbounded where the profile does not cross it.
    """

    values: np.ndarray
    objective: np.ndarray
    interval: tuple[float, float]


def profile(fitted: Fit, *, points: int = 15) -> dict[str, Profile]:
    """Return the profile of every coefficient of a fit.

    Args:
        fitted: what `fit` returned.
        points: how many values on either side of the optimum.

    Raises:
        ValueError: there are no more runs than coefficients, or no points.

    Source: Venzon and Moolgavkar, "A Method for Computing Profile-Likelihood-Based
    Confidence Intervals", Applied Statistics 37 (1988).
    """
    problem, theta = fitted.problem, fitted.theta
    freedom = problem.degrees_of_freedom
    if points < 1:
        raise Refusal(f"points is {points}; it must be one or more")
    if freedom < 1:
        raise Refusal(f"{fitted.n_runs} runs leave no freedom to judge the coefficients by")
    with jax.enable_x64(True):
        local = curvature(problem, theta)
        known = marginals(problem, theta, local.noise)
        reach = _REACH * student_quantile(freedom)
        springs = _springs(known, reach, points, local.dispersion)
        # Springs hold coefficients as they are, hence plain units.
        places, objectives, sound = _ends(*problem.plain(theta), springs)
    limit = fitted.objective + local.dispersion * student_quantile(freedom) ** 2 / 2
    curves = (leaf.reshape(len(known), -1) for leaf in (places, objectives, sound))
    return {
        m.name: _profile(
            np.append(place[kept], m.position),
            np.append(objective[kept], fitted.objective),
            limit,
            m.domain,
        )
        for m, place, objective, kept in zip(known, *curves, strict=True)
    }


def _springs(known: list[Marginal], reach: float, points: int, dispersion: float) -> Springs:
    side = np.arange(1, points + 1) / points
    steps = reach * np.concatenate([-side[::-1], side])
    widest = _MAX_REACH / reach
    errors = np.array([min(m.error, widest) if m.error > 0 else widest for m in known])
    return Springs(
        which=np.repeat(np.eye(len(known)), len(steps), axis=0),
        value=np.concatenate(
            [m.position + steps * e for m, e in zip(known, errors, strict=True)]
        ),
        stiffness=np.repeat(_STIFFNESS * dispersion / errors**2, len(steps)),
    )


def _ends(
    problem: Problem, theta: np.ndarray, springs: Springs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each spring's coefficient came to rest, F there, and whether it did."""
    count, data = len(springs.value), problem.data
    points = count // (2 * len(theta))
    first = _drawn(problem, np.broadcast_to(theta, (count, len(theta))), springs)
    # Once more from each neighbour on the side of the optimum: a better valley is followed.
    ends = first.theta.reshape(-1, 2 * points, len(theta))
    middle = np.broadcast_to(theta, (len(ends), 1, len(theta)))
    inward = [ends[:, 1:points], middle, middle, ends[:, points:-1]]
    second = _drawn(problem, np.concatenate(inward, axis=1).reshape(count, -1), springs)
    lower = second.converged & ~(first.converged & (first.objective <= second.objective))
    thetas = np.where(lower[:, None], second.theta, first.theta)
    positions = jax.vmap(lambda t: problem.chart.position(t, data.points))(thetas)
    places = np.sum(springs.which * np.asarray(positions), axis=1)
    energy = springs.stiffness / 2 * (places - springs.value) ** 2
    total = np.where(lower, second.objective, first.objective)
    return places, total - energy, first.converged | second.converged


def _drawn(problem: Problem, thetas: np.ndarray, springs: Springs) -> Ends:
    return descend(problem, thetas, warm_delta(problem, thetas[0]), springs)


def _profile(place: np.ndarray, objective: np.ndarray, limit: float, domain: Domain) -> Profile:
    # Springs that pull beyond a bound all end there; the lowest of them counts.
    span = np.ptp(place) or 1.0  # at a bound all of them may be in one place
    order = np.lexsort((objective, np.round(place / span, 9)))
    place, objective = place[order], objective[order]
    new = np.append(True, np.diff(place) > 1e-9 * span)
    place, objective = place[new], objective[new]
    best = int(np.argmin(objective))
    # The root of the rise is nearly a straight line on either side.
    root = np.sqrt(np.maximum(objective - objective[best], 0.0))
    goal = np.sqrt(max(limit - objective[best], 0.0))
    low = _crossing(place[best::-1], root[best::-1], goal, -np.inf)
    high = _crossing(place[best:], root[best:], goal, np.inf)
    if is_positive(domain):
        place, low, high = np.exp(place), float(np.exp(low)), float(np.exp(high))
    return Profile(place, objective, clipped(domain, low, high))


def _crossing(place: np.ndarray, root: np.ndarray, goal: float, beyond: float) -> float:
    """Return where the root first rises above the goal, walking away from the optimum."""
    above = np.flatnonzero(root > goal)
    if not above.size:
        return beyond
    i = int(above[0])
    share = (goal - root[i - 1]) / (root[i] - root[i - 1])
    return float(place[i - 1] + share * (place[i] - place[i - 1]))
