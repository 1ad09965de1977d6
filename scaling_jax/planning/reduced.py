"""The reduced planner: any law, any cost, kinks and jumps too.

A global search along the curve of the target, then Newton's method on the two equations that
hold at the answer, through which it is differentiated.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.baselines import (
    Answer,
    answered,
    baseline,
    searched,
    trains_by_product,
)
from scaling_jax.planning.curves import Point
from scaling_jax.planning.finish import finished, limit_of, marginal_cost, priced
from scaling_jax.planning.records import Plan
from scaling_jax.planning.scenario import Scenario
from scaling_jax.planning.searching import best_pick, search
from scaling_jax.solve import Status


def reduced_plan(
    s: Scenario, picks: Sequence[Mapping[str, Number]], allowed: jax.Array
) -> Plan:
    """Return the plan of a scenario, the best of the picks of its further axes taken."""
    found, chosen = None, {}
    if picks[0]:
        found, chosen = best_pick(jax.lax.stop_gradient(s), picks)
        s = s.with_axes(chosen)
    q = s.query
    if found is None and q.loss is not None and q.params is None and q.tokens is None:
        answer, base, sound = _beside_its_baseline(s)
        loss = q.loss
    else:
        answer = answered(s, search(jax.lax.stop_gradient(s)) if found is None else found)
        loss = jnp.asarray(q.loss if q.loss is not None else s.loss(*answer.point))
        base, sound = baseline(s, loss, answer.point)
    point, active = answer.point, answer.found.active
    sound &= answer.sound
    solved = jnp.where(sound, Status.CONVERGED.value, Status.NOT_CONVERGED.value)
    missing = jnp.isnan(answer.found.value)
    return finished(
        priced(s, point),
        priced(s, base, loss),
        marginal_cost(s, point, q, active),
        chosen,
        limit=limit_of(q, active),
        solved=jnp.where(missing, Status.INFEASIBLE.value, solved),
        allowed=allowed,
        method="reduced",
    )


def _beside_its_baseline(s: Scenario) -> tuple[Answer, Point, jax.Array]:
    """Return the plan for a loss and its baseline.

    Where both are searched they are two rounds of one loop, which is compiled once.
    """
    alone = s.alone(jnp.asarray(s.query.loss))
    if trains_by_product(alone):
        answer = answered(s, search(jax.lax.stop_gradient(s)))
        return answer, *baseline(s, jnp.asarray(s.query.loss), answer.point)

    def one(serves: jax.Array) -> Answer:
        either = s._replace(serves=serves)
        return answered(either, search(jax.lax.stop_gradient(either)))

    both = jax.lax.map(one, jnp.asarray([True, False]))
    answer, trained = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
    return answer, *searched(alone, trained, answer.point)
