"""How the risk of a decision moves with what it was made from.

By the envelope theorem the derivative of min over x of R(x, theta) is that of R at the best
x, held fixed. A CVaR or a largest regret is itself the largest of weighted sums of outcomes,
with weights q (`risks.py`); where the best model stands at a kink, at which several samples
tie, those q count for which the model is stationary, sum of q dJ/dx = 0.

With adapted tokens the least size may be that from which on some sample reaches the target
within the tokens that there are. This wall moves with the sample: if D(N, theta) is what it
needs, the risk moves by -(dR/dlog N) (dlog D/dtheta) / (dlog D/dlog N) as well.
"""

import dataclasses
import itertools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.deciding.optima import SHARES, Optimum, compromise, goals, optimum_of, planned
from scaling_jax.deciding.outcomes import Array, Commit, Question, Sample, detail
from scaling_jax.deciding.problem import Part, Problem
from scaling_jax.deciding.records import Decision
from scaling_jax.deciding.risks import Risk
from scaling_jax.deciding.scenarios import Given, Group
from scaling_jax.deciding.search import Seeker

_TARGETS = ("loss", "budget", "match_params", "match_tokens")
_MOST_CORNERS = 8
# A small step in log N.
_STEP = 1e-6


class RiskGradient(NamedTuple):
    """The derivatives of a risk with respect to the inputs of a decision.

    Attributes:
        laws: like the law, or the stack of laws; with several families a tuple, one each.
        cost, demands, axes: like these.
        target: of `loss`, `budget`, `match_params` and `match_tokens`, those given.
    """

    laws: Any
    cost: Any
    demands: Any
    axes: dict[str, Any]
    target: dict[str, Any]


def risk_gradient(
    decision: Decision, commitment: Literal["adaptive", "fixed"] = "adaptive"
) -> RiskGradient:
    """Return d(risk) / d(inputs) of one of a decision's two commitments.

    Of a stack the derivative with respect to each of its elements. Where the best model
    stands at a step of the cost, the step is taken to stay where it is.

    Raises:
        ValueError: `commitment` is neither of the two.

    Example:
        >>> from scaling_jax import Demand, Flops, laws
        >>> from scaling_jax.deciding import decide
        >>> choice = decide(laws.HOFFMANN_2022, Flops(), Demand.of_tokens(2e12), loss=1.947)
        >>> slope = risk_gradient(choice).target["loss"]
        >>> print(f"{slope / choice.plans.marginal_cost[0]:.6f}")
        1.000000
    """
    if commitment not in ("adaptive", "fixed"):
        raise ValueError(f"commitment is {commitment!r}; it must be adaptive or fixed")
    problem, model = decision.problem, getattr(decision, commitment)
    adaptive = commitment == "adaptive"
    point = np.array([model.params, model.tokens])
    seeker = _at(problem, point, adaptive=adaptive)
    shares, slope = _shares(problem, seeker, decision.risk, decision.expected_optimum)
    wall = _wall(problem, seeker, slope) if adaptive else None
    held = Held(problem, shares, _misses(problem, shares), point)
    regret = decision.risk.name == "regret"
    question = problem.pricing.question
    named = {name: jnp.asarray(value) for name, value in question._asdict().items() if value}
    target = {name: named.pop(name) for name in _TARGETS if name in named}

    def risk(given: Given, target: dict[str, Any]) -> jax.Array:
        asked = Question(**named, **target)
        found = _risk(given, asked, held, adaptive=adaptive, regret=regret)
        return found if wall is None else found + _moved(given, asked, problem, point, wall)

    given = jax.tree.map(jnp.asarray, problem.drawn.given)
    slopes, of_target = jax.jit(jax.grad(risk, argnums=(0, 1)))(given, target)
    laws, cost, demands, axes = jax.tree.map(np.asarray, slopes)
    return RiskGradient(
        laws=laws[0] if len(laws) == 1 else laws,
        cost=cost,
        demands=demands,
        axes=axes,
        target={name: float(each) for name, each in of_target.items()},
    )


class Held(NamedTuple):
    """What is held fixed by the envelope theorem.

    Attributes:
        problem: the problem.
        shares: of each part the weights q of its samples.
        misses: of each part without a plan, the log of what its best compromises miss.
        point: (N, D).
    """

    problem: Problem
    shares: list[np.ndarray]
    misses: list[np.ndarray | None]
    point: np.ndarray


def _risk(
    given: Given, question: Question, held: Held, *, adaptive: bool, regret: bool
) -> jax.Array:
    """Return the weighted outcomes of one model, as a function of the inputs."""
    problem = held.problem
    typical = jnp.asarray(problem.pricing.fallback)
    if problem.typical is not None and any(m is not None for m in held.misses):
        family, index = problem.typical
        one = _group(given, problem, family, np.array([index]))
        typical = _optimum(question, one, convex=problem.pricing.convex).over[0]
    total = jnp.zeros_like(typical)
    x = jnp.zeros(1 if adaptive else 2, typical.dtype)
    reference = jnp.asarray(held.point, typical.dtype)
    for part, share, miss in zip(problem.parts, held.shares, held.misses, strict=True):
        counted = np.flatnonzero(share)
        if not counted.size:
            continue
        group = _group(given, problem, part.family, part.members[counted])
        if not part.reached:
            sample = _missed(question, group, typical, miss)
        elif adaptive and not regret:  # no price enters
            sample = _bare(goals(question, group), group)
        else:
            found = _optimum(question, group, convex=problem.pricing.convex)
            sample = _bare(found.goal, group)
            sample = dataclasses.replace(
                sample, best=found.best, over=found.over, under=found.under
            )
        commit = Commit(adaptive, "no" if part.reached else "all")
        outcome = jax.vmap(
            lambda each, commit=commit: detail(x, reference, each, question, commit).outcome
        )(sample)
        counts = outcome - sample.best if regret else outcome
        total += jnp.dot(jnp.asarray(share[counted]), counts)
    return total


def _group(given: Given, problem: Problem, family: int, index: np.ndarray) -> Group:
    orders = problem.drawn.orders[family]
    return given.group(family, {name: order[index] for name, order in orders.items()})


def _bare(goal: Array, group: Group) -> Sample:
    """Return samples that have a plan, without prices."""
    reached = jnp.ones(goal.shape, bool)
    return Sample(group=group, goal=goal, best=goal, over=goal, under=goal, feasible=reached)


def _optimum(question: Question, group: Group, *, convex: bool) -> Optimum:
    goal = goals(question, group)
    shares = jnp.asarray([0.0, *(() if convex else SHARES)], goal.dtype)
    near = jax.lax.map(lambda share: planned(question, group, goal * (1 + share)), shares)
    plans = [jax.tree.map(lambda leaf, i=i: leaf[i], near) for i in range(len(shares))]
    return optimum_of(question, goal, plans[0], plans[1:])


def _missed(question: Question, group: Group, price: jax.Array, log_miss: Any) -> Sample:
    """Return samples without a plan, whose best compromise misses the goal by so much."""
    goal = goals(question, group)
    over, miss = jnp.full_like(goal, 1.0) * price, goal * jnp.exp(log_miss)
    found = planned(question, group, goal + miss)
    best = question.exchange(found.total_cost, found.loss)[0] + over * miss
    return Sample(
        group=group, goal=goal, best=best, over=over, under=over, feasible=goal < -jnp.inf
    )


def _misses(problem: Problem, shares: list[np.ndarray]) -> list[np.ndarray | None]:
    """Return, for each part, by how much the samples that count miss the goal at best."""
    pricing, groups, misses = problem.pricing, problem.drawn.groups(), []
    for part, share, stack in zip(problem.parts, shares, problem.rows.stacks, strict=True):
        counted = np.flatnonzero(share)
        if part.reached or not counted.size:
            misses.append(None)
            continue
        group, goal = groups[part.family].take(part.members[counted]), stack.goal[0][counted]
        over = np.full_like(goal, pricing.fallback)
        misses.append(compromise(pricing.question, group, goal, over, pricing.size)[1])
    return misses


class Wall(NamedTuple):
    """The sample that holds the size up, and dR/dlog N over its dlog D/dlog N."""

    part: Part
    member: int
    push: float


def _moved(
    given: Given, question: Question, problem: Problem, point: np.ndarray, wall: Wall
) -> jax.Array:
    """Return a number whose derivative is what the moving wall adds to the risk's."""
    at = wall.part.members[[wall.member]]
    group = _group(given, problem, wall.part.family, at)
    goal = goals(question, group)
    one = jax.tree.map(lambda leaf: leaf[0], _bare(goal, group))
    x, freely = jnp.zeros(1, goal.dtype), question._replace(max_tokens=None)
    found = detail(x, jnp.asarray(point, goal.dtype), one, freely, Commit(True))
    return -wall.push * jnp.log(found.tokens)


def _at(problem: Problem, point: np.ndarray, *, adaptive: bool) -> Seeker:
    """Return a search that has ended at a point."""
    nothing = np.zeros(1 if adaptive else 2)
    return Seeker(
        adaptive=adaptive,
        convex=problem.pricing.convex,
        question=problem.pricing.question,
        reference=point.astype(problem.rows.best.dtype),
        low=nothing,
        high=nothing,
        cap=nothing,
        tolerance=0.0,
        extra=nothing[None],
    )


def _shares(
    problem: Problem, seeker: Seeker, risk: Risk, scale: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the weights q of the samples in the risk, part by part, and the slope dR/dx."""
    rows, question = problem.rows, problem.pricing.question
    outcome, slopes = (each[0] for each in seeker.slopes(seeker.low[None], rows))
    weights = rows.weights[0]
    limits = (question.max_params, question.max_tokens)[: len(seeker.low)]
    free = [
        limit is None or at < limit * (1 - _STEP)
        for at, limit in zip(seeker.reference[: len(limits)], limits, strict=True)
    ]
    if risk.name == "mean":
        q = weights
    else:
        regret = risk.name == "regret"
        most = np.ones_like(weights) if regret else weights / (1 - risk.level)
        values = outcome - rows.best[0] if regret else outcome
        tolerance = abs(scale) * float(np.finfo(values.dtype).eps) ** 0.6
        q = _stationary(values, slopes[:, free] / abs(scale), most, tolerance)
    ends = np.cumsum([stack.shape[1] for stack in rows.stacks])
    return np.split(q, ends[:-1]), np.where(free, q @ slopes, 0.0)


def _wall(problem: Problem, seeker: Seeker, slope: np.ndarray) -> Wall | None:
    """Return the sample that needs all the tokens that there are, if one holds the size up."""
    last = problem.pricing.question.max_tokens
    if last is None:
        return None
    found = seeker.detail(seeker.low[None], problem.rows).tokens[0]
    slower = seeker._replace(reference=seeker.reference * np.array([1 + _STEP, 1.0]))
    ahead = slower.detail(seeker.low[None], problem.rows).tokens[0]
    ends = np.cumsum([stack.shape[1] for stack in problem.rows.stacks])[:-1]
    walls = [
        (part, int(np.argmax(tokens)), tokens.max(), later[np.argmax(tokens)])
        for part, tokens, later in zip(
            problem.parts, np.split(found, ends), np.split(ahead, ends), strict=True
        )
        if part.reached
    ]
    part, index, tokens, later = max(walls, key=lambda each: each[2])
    if tokens < last * (1 - _STEP) or slope[0] <= 0:
        return None
    falls = np.log(later / tokens) / np.log1p(_STEP)
    return Wall(part, index, float(slope[0] / falls))


def _stationary(
    values: np.ndarray, slopes: np.ndarray, most: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return weights of sum 1 on the largest values, those of ties with the least slope."""
    order = np.argsort(-values, kind="stable")
    last = order[np.searchsorted(np.cumsum(most[order]), 1 - 1e-12)]
    q = np.where(values > values[last] + tolerance, most, 0.0)
    tied = np.flatnonzero(np.abs(values - values[last]) <= tolerance)
    rest, fixed = 1 - q.sum(), q @ slopes
    corners = [_filled(tied, np.zeros(len(tied)), most, rest)]
    share = np.ones(1)
    while len(corners) < min(_MOST_CORNERS, len(tied) + 1):
        mean = share @ np.array([fixed + corner @ slopes[tied] for corner in corners])
        corners.append(_filled(tied, slopes[tied] @ mean, most, rest))
        share = _nearest(np.array([fixed + corner @ slopes[tied] for corner in corners]))
    q[tied] = share @ np.array(corners)
    return q


def _filled(tied: np.ndarray, score: np.ndarray, most: np.ndarray, rest: float) -> np.ndarray:
    """Return the weights of ties that put all that is left on the least scores."""
    order = np.argsort(score, kind="stable")
    room = most[tied][order]
    filled = np.empty(len(tied))
    filled[order] = np.clip(rest - (np.cumsum(room) - room), 0.0, room)
    return filled


def _nearest(points: np.ndarray) -> np.ndarray:
    """Return the weights of points [k, d], d <= 2, whose mean is nearest to zero."""
    best, nearest = np.zeros(len(points)), np.inf
    for size in range(1, points.shape[1] + 2):
        for chosen in itertools.combinations(range(len(points)), size):
            p = points[list(chosen)]
            system = np.block([[p @ p.T, np.ones((size, 1))], [np.ones((1, size)), 0.0]])
            share = np.linalg.lstsq(system, np.r_[np.zeros(size), 1.0])[0][:size]
            distance = float(np.linalg.norm(share @ p))
            if np.all(share >= -1e-12) and distance < nearest * (1 - 1e-9):
                best, nearest = np.zeros(len(points)), distance
                best[list(chosen)] = share
    return best
