"""The general planner: choices in intervals, constraints and optimisers of the user's own.

The decision variables are log N, log D and each interval choice on the unit interval between
its bounds, so that every variable is of order one. At a loss, min log cost subject to
log(law / loss) <= 0; at a budget, min log law subject to log(cost / budget) <= 0; limits are
bounds. The start is the best reduced plan over a small lattice of the choices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.active import Active, Found
from scaling_jax.planning.baselines import baseline
from scaling_jax.planning.curves import Point
from scaling_jax.planning.finish import finished, limit_of, priced
from scaling_jax.planning.records import Plan
from scaling_jax.planning.scenario import LOG_PARAMS, LOG_TOKENS, Scenario
from scaling_jax.planning.searching import best_pick
from scaling_jax.solve import Solution, Status, minimise

if TYPE_CHECKING:
    import optax

Variables = dict[str, jax.Array]
# Values of each choice at which a start is looked for, by the number of choices.
_LATTICE = {0: (), 1: (0.0, 0.25, 0.5, 0.75, 1.0), 2: (0.0, 0.5, 1.0)}
_FURTHER = (0.0, 1.0)


class _Problem(NamedTuple):
    """A scenario as a function of its decision variables."""

    scenario: Scenario
    intervals: Mapping[str, tuple[jax.Array, jax.Array]]
    constraints: Callable[..., Any] | None

    def choices(self, x: Variables) -> dict[str, jax.Array]:
        """Return the choices: evenly in their logarithm where both bounds are positive."""
        return {name: _between(*ends, x[name]) for name, ends in self.intervals.items()}

    def at(self, x: Variables) -> tuple[Scenario, Point]:
        """Return the scenario with its choices, and the model."""
        scenario = self.scenario.with_axes(self.choices(x))
        return scenario, Point(x["params"], x["tokens"])

    def objective(self, x: Variables) -> jax.Array:
        """Return log cost at a loss, log loss at a budget."""
        s, point = self.at(x)
        return s.log_cost(*point) if s.query.loss is not None else s.log_loss(*point)

    def inequality(self, x: Variables) -> list[Any]:
        """Return the target and the user's constraints."""
        s, point = self.at(x)
        if s.query.loss is not None:
            target = s.log_loss(*point) - jnp.log(s.query.loss)
        else:
            target = s.log_cost(*point) - jnp.log(jnp.asarray(s.query.budget))
        return [target, *jax.tree.leaves(self.further(x))]

    def further(self, x: Variables) -> Any:
        """Return the user's constraints."""
        if self.constraints is None:
            return ()
        s, point = self.at(x)
        params, tokens = jnp.exp(point.log_params), jnp.exp(point.log_tokens)
        return self.constraints(params, tokens, s.demand, **s.axes)

    def bounds(self, like: Variables) -> tuple[Variables, Variables]:
        """Return the bounds of the variables: limits, and what is fixed."""
        q = self.scenario.query
        low = {name: 0 * x for name, x in like.items()}
        high = {name: 0 * x + 1 for name, x in like.items()}
        spans = {"params": LOG_PARAMS, "tokens": LOG_TOKENS}
        for name, (least, most) in spans.items():
            given, limit = getattr(q, name), getattr(q, f"max_{name}")
            low[name] += least if given is None else jnp.log(given)
            high[name] += -1 + (most if limit is None else jnp.log(limit))
            if given is not None:
                high[name] = low[name]
        return low, high


def general_plan(
    s: Scenario,
    picks: Sequence[Mapping[str, Number]],
    intervals: Mapping[str, tuple[jax.Array, jax.Array]],
    constraints: Callable[..., Any] | None,
    optimiser: optax.GradientTransformation | None,
    allowed: jax.Array,
) -> Plan:
    """Return the optimum for one scenario, differentiable in every input."""
    held = jax.lax.stop_gradient(s)
    lattice = _lattice(jax.lax.stop_gradient(intervals))
    starts = [{**pick, **each} for pick in picks for each in lattice]
    found, chosen = best_pick(held, starts, constraints)
    listed = {name: chosen[name] for name in picks[0]}
    problem = _Problem(s.with_axes(listed), intervals, constraints)
    feasible = ~jnp.isnan(found.value)
    solution = minimise(
        problem.objective,
        _start(found, chosen, intervals),
        inequality=problem.inequality,
        bounds=problem.bounds(_start(found, chosen, intervals)),
        optimiser=optimiser,
    )
    return _plan_of(problem, solution, listed, feasible, allowed)


def _plan_of(
    problem: _Problem, solution: Solution, listed: dict, feasible: jax.Array, allowed: jax.Array
) -> Plan:
    sound = solution.status == Status.CONVERGED
    x = {
        name: jnp.where(sound, value, safe)
        for (name, value), safe in zip(
            solution.value.items(), _safe(solution.value), strict=True
        )
    }
    s, point = problem.at(x)
    model = priced(s, point)
    loss = model.loss if s.query.loss is None else jnp.asarray(s.query.loss)
    base, reached = baseline(s, loss, point)
    _, high = problem.bounds(x)
    large = x["params"] >= high["params"] - 1e-12 * jnp.abs(high["params"])
    long = x["tokens"] >= high["tokens"] - 1e-12 * jnp.abs(high["tokens"])
    active = jnp.where(large, Active.SIZE.value, Active.INSIDE.value)
    active = jnp.where(long, jnp.where(large, Active.BOTH.value, Active.DATA.value), active)
    # The target's multiplier is a logarithmic derivative.
    push, ratio = solution.inequality[0], model.total_cost / model.loss
    marginal = -ratio * push if s.query.budget is None else -ratio / push
    solved = jnp.where(feasible, solution.status, Status.INFEASIBLE.value)
    missed = (solved == Status.CONVERGED.value) & ~reached
    return finished(
        model,
        priced(s, base, loss),
        marginal,
        {**listed, **problem.choices(x)},
        limit=limit_of(s.query, active),
        solved=jnp.where(missed, Status.NOT_CONVERGED.value, solved),
        allowed=allowed,
        method="general",
    )


def _start(found: Found, chosen: Mapping, intervals: Mapping) -> Variables:
    sound = ~jnp.isnan(found.value)
    start = {
        "params": jnp.where(sound, found.point.log_params, 20.7),
        "tokens": jnp.where(sound, found.point.log_tokens, 23.7),
    }
    return start | {name: chosen[f"unit {name}"] for name in intervals}


def _safe(like: Variables) -> list[float]:
    return [{"params": 20.7, "tokens": 23.7}.get(name, 0.5) for name in like]


def _lattice(intervals: Mapping[str, tuple[jax.Array, jax.Array]]) -> list[dict[str, Any]]:
    units = _LATTICE.get(len(intervals), _FURTHER)
    out = []
    for place in itertools.product(units, repeat=len(intervals)):
        named = dict(zip(intervals, place, strict=True))
        values = {name: _between(*intervals[name], unit) for name, unit in named.items()}
        zero = {name: 0 * values[name] for name in named}
        out.append(values | {f"unit {name}": zero[name] + named[name] for name in named})
    return out


def _between(low: jax.Array, high: jax.Array, unit: Number) -> jax.Array:
    positive = low > 0
    safe_low, safe_high = jnp.where(positive, low, 1.0), jnp.where(positive, high, 1.0)
    even = safe_low * jnp.exp(unit * (jnp.log(safe_high) - jnp.log(safe_low)))
    return jnp.where(positive, even, low + unit * (high - low))
