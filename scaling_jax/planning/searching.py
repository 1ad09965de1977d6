"""The search of the reduced planner: the target leaves one coordinate, looked along globally.

A coarse grid over the whole curve, a finer one around its lowest point, and a bracket closed by
the sign of a slope. All counts are fixed, so that a batch is one elementwise program. Which
steps are taken depends on the programs of law and cost (smooth, with kinks, with jumps), never
on numbers.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.active import Active, Found
from scaling_jax.planning.budgets import BudgetCurve, affordable_tokens, largest_params
from scaling_jax.planning.curves import (
    Point,
    ShareCurve,
    TokenCurve,
    best_tokens,
    first_tokens,
    smallest_params,
)
from scaling_jax.planning.scenario import LOG_PARAMS, LOG_TOKENS, Scenario
from scaling_jax.solve.search import Cell, lowest_between, lowest_cells, zoom
from scaling_jax.solve.smoothness import Smoothness, smoothness

# Points of a grid, the cells of the finer one that are looked into, and those of the coarse one
# beside its lowest.
_POINTS = {Smoothness.SMOOTH: 36, Smoothness.KINKED: 36, Smoothness.STEPPED: 128}
_KEEP = {Smoothness.SMOOTH: 2, Smoothness.KINKED: 2, Smoothness.STEPPED: 12}
_OTHERS = {Smoothness.SMOOTH: 1, Smoothness.KINKED: 1, Smoothness.STEPPED: 6}

Curve = ShareCurve | TokenCurve | BudgetCurve
Objective = Callable[[jax.Array, jax.Array], jax.Array]


def search(s: Scenario) -> Found:
    """Return the best model for the question: where it is, and what holds it there.

    Not differentiable: `active.solve` is.
    """
    form = smoothness_of(s)
    if s.query.params is not None or s.query.tokens is not None:
        return _fixed(s, form)
    if s.query.loss is not None:
        return _at_a_loss(s, form)
    return _at_a_budget(s, form)


def smoothness_of(s: Scenario) -> Smoothness:
    """Return the smoothness of law and cost together, in log N and log D."""
    zero = 0 * jnp.asarray(s.query.budget if s.query.loss is None else s.query.loss)
    law = Smoothness.SMOOTH if s.power_sum() else smoothness(s.loss, zero, zero)
    return max(law, smoothness(s.log_cost, zero, zero))


def _at_a_loss(s: Scenario, form: Smoothness) -> Found:
    loss = jnp.asarray(s.query.loss)
    power = s.power_sum()
    curve = (
        TokenCurve.of(s, loss) if power is None else ShareCurve.of(s, power.log_excess(loss))
    )
    found = _along(s, curve, s.log_cost, form)
    if s.query.max_params is not None:
        at_end = curve.first_model()
        found = _or_end(s, found, Found.at(at_end, s.log_cost(*at_end), Active.SIZE))
    if s.query.max_tokens is not None:
        at_end = curve.last_model()
        found = _or_end(s, found, Found.at(at_end, s.log_cost(*at_end), Active.DATA))
    for size, side in itertools.product(s.breaks(), (-1.0, 1.0)):
        found = found.or_else(_beside(s, size, side))
    return found.where(curve.feasible())


def _at_a_budget(s: Scenario, form: Smoothness) -> Found:
    stepped = _stepped_in_tokens(s)
    curve = BudgetCurve.of(s, stepped, form == Smoothness.STEPPED and s.power_sum() is None)
    kinked = s.query.max_tokens is not None
    form = max(form, Smoothness.KINKED) if kinked else form
    found = _along(s, curve, s.log_loss, form)
    if s.query.max_params is not None:
        size = jnp.log(s.query.max_params) + 0 * curve.most
        found = _or_end(s, found, _at_size(s, size, curve.end, stepped))
    if s.query.max_tokens is not None:
        found = _or_end(s, found, _at_tokens(s, curve.end))
    for size, side in itertools.product(s.breaks(), (-1.0, 1.0)):
        found = found.or_else(_beside(s, size, side))
    return found.where(curve.feasible())


def _or_end(s: Scenario, found: Found, end: Found) -> Found:
    """Return the better of what is found along a curve and the model at its end.

    Next to the end values differ by less than their rounding, so that the slope decides: the
    limit holds where the objective would go on falling beyond it.
    """
    slopes = [jax.grad(f, (0, 1))(*end.point) for f in (s.log_cost, s.log_loss)]
    (c_n, c_t), (l_n, l_t) = slopes
    # Of the objective by the limited variable, the other one following the target.
    by_params, by_tokens = c_n - c_t * l_n / l_t, c_t - c_n * l_t / l_n
    if s.query.loss is None:
        by_params, by_tokens = l_n - l_t * c_n / c_t, l_t - l_n * c_t / c_n
    sized, limited = end.active == Active.SIZE, end.active == Active.DATA
    beyond = jnp.where(sized, by_params, jnp.where(limited, by_tokens, l_n))
    slack = 64 * jnp.finfo(end.value.dtype).eps * (1 + jnp.abs(end.value))
    return found.or_else(end, jnp.where(beyond < 0, slack, -slack))


def _at_size(s: Scenario, log_params: jax.Array, end: jax.Array, stepped: bool) -> Found:
    """Return the best that a budget buys at a size: as many tokens as it pays for, unless
    there are fewer, or more of them would hurt.
    """
    paid = affordable_tokens(s, log_params, 5, stepped)
    best, _ = best_tokens(s, log_params, jnp.minimum(paid, end))
    active = jnp.where(paid > end, Active.BOTH.value, Active.SIZE.value)
    active = jnp.where(best < jnp.minimum(paid, end), Active.RISE.value, active)
    point = Point(log_params, best)
    return Found.at(point, s.log_loss(*point), active)


def _at_tokens(s: Scenario, log_tokens: jax.Array) -> Found:
    """Return the best that a budget buys with all the tokens there are: the largest size."""
    point = Point(largest_params(s, log_tokens), log_tokens)
    full = False
    if s.query.max_params is not None:
        full = point.log_params >= jnp.log(s.query.max_params)
    # Below a jump of the cost some of the budget is left over.
    left_over = s.log_cost(*point) < jnp.log(jnp.asarray(s.query.budget)) - 1e-6
    active = jnp.where(left_over, Active.HELD.value, Active.DATA.value)
    active = jnp.where(full, Active.BOTH.value, active)
    return Found.at(point, s.log_loss(*point), active)


def _fixed(s: Scenario, form: Smoothness) -> Found:
    q = s.query
    zero = 0 * jnp.log(jnp.asarray(q.budget if q.loss is None else q.loss))
    if q.params is not None:
        log_params = jnp.log(q.params) + zero
        end = zero + (LOG_TOKENS[1] if q.max_tokens is None else jnp.log(q.max_tokens))
        if q.loss is None:
            return _at_size(s, log_params, end, _stepped_in_tokens(s))
        point = Point(log_params, first_tokens(s, log_params, end))
        return Found.at(point, s.log_cost(*point), Active.SIZE)
    assert q.tokens is not None
    log_tokens = jnp.log(q.tokens) + zero
    if q.loss is None:
        return _at_tokens(s, log_tokens).where(jnp.asarray(True))
    most = zero + (LOG_PARAMS[1] if q.max_params is None else jnp.log(q.max_params))
    return Found.at(Point(smallest_params(s, log_tokens, most), log_tokens), zero, Active.DATA)


def _along(s: Scenario, curve: Curve, objective: Objective, form: Smoothness) -> Found:
    """Return the lowest point of the objective along a curve."""

    def value(u: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        point, state = curve.step(u, state)
        return objective(*point), state

    low, high = jnp.minimum(curve.low, curve.high), jnp.maximum(curve.low, curve.high)

    def look(left: jax.Array, right: jax.Array, keep: int) -> list[Cell]:
        return lowest_cells(value, right, left, _POINTS[form], keep, curve.start(right))

    # Finer around the lowest point, beyond its neighbours too; the other cells as they are.
    # Under a sum of powers log cost is convex along the curve but for bumps of the cost.
    further = 0 if isinstance(curve, ShareCurve) else _OTHERS[form]
    lowest, *others = look(low, high, 1 + further)
    left = jnp.maximum(lowest.middle - 2 * (lowest.middle - lowest.left), low)
    right = jnp.minimum(lowest.middle + 2 * (lowest.right - lowest.middle), high)
    cells = look(left, right, _KEEP[form]) + others
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *cells)
    polished = jax.vmap(lambda cell: _polished(curve, objective, cell, form))(stacked)
    each = [jax.tree.map(lambda x, i=i: x[i], polished) for i in range(len(cells))]
    return functools.reduce(Found.or_else, each)


def _polished(curve: Curve, objective: Objective, cell: Cell, form: Smoothness) -> Found:
    near = curve.near(cell.middle)

    def value_and_slope(u: jax.Array) -> tuple[jax.Array, jax.Array, Any]:
        point = curve.at(u, near)
        value, (by_params, by_tokens) = jax.value_and_grad(objective, (0, 1))(*point)
        tangent = curve.tangent(u, point)
        parts = by_params * tangent.log_params, by_tokens * tangent.log_tokens
        slope = parts[0] + parts[1]
        return value, slope, (point, slope / (jnp.abs(parts[0]) + jnp.abs(parts[1])))

    if form == Smoothness.STEPPED:
        u, _ = zoom(lambda u: objective(*curve.at(u, near)), cell, 6, 17)
        # Off the edge, on its lower side: rounding must not carry the model over it.
        away = float(jnp.finfo(u.dtype).eps) ** 0.65 * (1 + jnp.abs(u))
        sides = jax.vmap(value_and_slope)(jnp.stack([u - away, u + away]))
        lower = (sides[0][0] <= sides[0][1]) | jnp.isnan(sides[0][1])
        value, _, (point, slope) = jax.tree.map(lambda x: jnp.where(lower, x[0], x[1]), sides)
        active = jnp.where(jnp.abs(slope) < 1e-5, Active.INSIDE.value, Active.JUMP.value)
        if isinstance(curve, BudgetCurve):
            full = jnp.where(
                point.log_tokens >= curve.end, Active.HELD.value, Active.CREST.value
            )
            active = jnp.where(curve.leaves_over(point), full, active)
        return Found.at(point, value, active)
    if form == Smoothness.SMOOTH:
        _, value, (point, _) = lowest_between(value_and_slope, cell, 6, kinked=False)
        return Found.at(point, value, Active.INSIDE)
    u, value, (point, _) = lowest_between(value_and_slope, cell, 17, kinked=True)
    reach = float(jnp.finfo(u.dtype).eps) ** 0.4
    _, _, (_, slopes) = jax.vmap(value_and_slope)(jnp.stack([u - reach, u + reach]))
    bent = slopes[1] - slopes[0] > 1e3 * reach
    active = jnp.where(bent, Active.KINK.value, Active.INSIDE.value)
    return Found.at(point, value, active)


def _beside(s: Scenario, size: Number, side: float) -> Found:
    """Return the best model next to a size at which the cost jumps, on one of the two sides."""
    zero = 0 * jnp.asarray(s.query.budget if s.query.loss is None else s.query.loss)
    log_size = jnp.log(size) + zero
    log_params = log_size + side * 16 * jnp.finfo(zero.dtype).eps * jnp.abs(log_size)
    end = zero + (LOG_TOKENS[1] if s.query.max_tokens is None else jnp.log(s.query.max_tokens))
    if s.query.loss is not None:
        point = Point(log_params, first_tokens(s, log_params, end))
        found = Found.at(point, s.log_cost(*point), Active.BREAK)
    else:
        found = _at_size(s, log_params, end, _stepped_in_tokens(s))
        held = {Active.SIZE: Active.BREAK, Active.BOTH: Active.HELD, Active.RISE: Active.CREST}
        active = found.active
        for limited, free in held.items():
            active = jnp.where(found.active == limited.value, free.value, active)
        found = found._replace(active=active)
    if s.query.max_params is None:
        return found
    return found.where(log_params <= jnp.log(s.query.max_params))


def _stepped_in_tokens(s: Scenario) -> bool:
    zero = 0 * jnp.asarray(s.query.budget if s.query.loss is None else s.query.loss)
    return smoothness(lambda t: s.log_cost(zero, t), zero) == Smoothness.STEPPED


def kinked(s: Scenario) -> bool:
    """Return whether law or cost may have kinks or jumps."""
    return smoothness_of(s) != Smoothness.SMOOTH


def best_pick(
    s: Scenario,
    picks: Sequence[Mapping[str, Any]],
    constraints: Callable[..., Any] | None = None,
) -> tuple[Found, dict[str, jax.Array]]:
    """Return the best of the searches at several values of further axes, and these.

    One that meets the constraints comes before all that do not.
    """
    if not picks[0]:
        return search(s), {}
    zero = 0 * jnp.asarray(s.query.budget if s.query.loss is None else s.query.loss)
    rows = [{name: jnp.asarray(x) + zero for name, x in pick.items()} for pick in picks]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *rows)

    def one(pick: Mapping[str, jax.Array]) -> tuple[Found, jax.Array]:
        at = s.with_axes({k: x for k, x in pick.items() if not k.startswith("unit ")})
        found = search(jax.lax.stop_gradient(at))
        if constraints is None:
            return found, zero
        params, tokens = (jnp.exp(x) for x in found.point)
        worst = jax.tree.leaves(constraints(params, tokens, s.demand, **at.axes))
        over = functools.reduce(jnp.maximum, [jnp.max(x) for x in worst])
        return found, jnp.where(over > 0, over, 0.0)

    results = jax.vmap(one)(stacked)
    best, least = jax.tree.map(lambda x: x[0], results)
    chosen = rows[0]
    for i, row in enumerate(rows[1:], 1):
        found, over = jax.tree.map(lambda x, i=i: x[i], results)
        better = (over < least) | ((over == least) & (found.value < best.value))
        better = (better & ~jnp.isnan(found.value)) | jnp.isnan(best.value)
        pairs = (found, over, row), (best, least, chosen)
        best, least, chosen = jax.tree.map(
            lambda new, old, better=better: jnp.where(better, new, old), *pairs
        )
    assert best is not None
    return best, chosen
