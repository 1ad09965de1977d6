"""What a committed model costs in each sample, and the risk of it, with derivatives.

At a target loss l the outcome of a model is in the unit of the cost, with C the total cost,
L its loss, and C* and p = -dC*/dl the cost and the price of quality of the plan that is
optimal in that very sample:

    adaptive: N is fixed, and D is what brings N to the target, so  J = C(N, D)
    fixed:    N and D are fixed, and J = C(N, D) + p (L(N, D) - l)

so quality that is missing, or in excess, is priced at what it costs at the margin (making
up for much of it would cost more, for C* is convex). At a budget K the outcome is a loss, in
nats per token:

    adaptive: N is fixed, and D is what spends the budget, so  J = L(N, D)
    fixed:    J = L(N, D) + (C(N, D) - K) / p

The regret of a sample is J less its value at the sample's own optimum. It is never negative:
C* is a convex function of the loss (a geometric program in log N, log D and the log excess),
so that C(N, D) >= C*(L) >= C*(l) - p (L - l), and its inverse is convex as well. J is convex
in (log N, log D), a sum of exponentials of linear functions, and so is each risk below.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._pytree import Record
from scaling_jax.deciding.samples import Joint
from scaling_jax.planning import Plan, plan

RISKS = ("mean", "cvar", "regret")


class Samples(Record):
    """Joint samples with what is best in each: the outcome J*, and the price of quality p."""

    law: Any
    cost: Any
    demand: Any
    best: jax.Array
    price: jax.Array


class Target(NamedTuple):
    """A loss or a budget; the other is None."""

    loss: Any
    budget: Any


class Detail(NamedTuple):
    """What happens to a committed model in each sample."""

    outcome: jax.Array
    tokens: jax.Array
    loss: jax.Array
    cost: jax.Array


def samples_of(joint: Joint, plans: Plan, target: Target) -> Samples:
    """Return the samples with the optima of their plans."""
    samples = Samples(
        law=joint.law,
        cost=joint.cost,
        demand=joint.demand,
        best=plans.total_cost if target.budget is None else plans.loss,
        price=-plans.marginal_cost,
    )
    return jax.tree.map(jnp.asarray, samples)  # on the device once, not at every step


@jax.jit(static_argnames="adaptive")
def outcomes(
    x: jax.Array, reference: jax.Array, samples: Samples, target: Target, *, adaptive: bool
) -> tuple[jax.Array, Detail]:
    """Return what happens to m commitments, each in its n samples, and the slopes dJ/dx.

    Args:
        x: [m, d], log (N / N0) and, of a fixed model, log (D / D0).
        reference: [2], N0 and D0.
        samples: leaves [m, n].
        target: the loss or the budget.
        adaptive: whether the tokens are adapted; d is 1, else 2.

    Returns:
        Slopes [m, n, d], and a `Detail` of arrays [m, n].
    """

    def one(x: jax.Array, samples: Samples) -> tuple[jax.Array, Detail]:
        detail = _detail(x, reference, samples, target, adaptive)
        return detail.outcome, detail

    return jax.vmap(jax.jacfwd(one, has_aux=True))(x, samples)


def _detail(
    x: jax.Array, reference: jax.Array, samples: Samples, target: Target, adaptive: bool
) -> Detail:
    law, cost, demand = samples.law, samples.cost, samples.demand
    params = reference[0] * jnp.exp(x[0])
    if adaptive:
        best = plan(law, cost, demand, loss=target.loss, budget=target.budget, params=params)
        outcome = best.total_cost if target.budget is None else best.loss
        loss = jnp.broadcast_to(best.loss, outcome.shape)
        return Detail(outcome, best.tokens, loss, best.total_cost)
    tokens = jnp.broadcast_to(reference[1] * jnp.exp(x[1]), samples.best.shape)
    loss, total = law(params, tokens), cost(params, tokens, demand).total
    if target.budget is None:
        return Detail(total + samples.price * (loss - target.loss), tokens, loss, total)
    return Detail(loss + (total - target.budget) / samples.price, tokens, loss, total)


def risk_of(
    outcome: np.ndarray, slopes: np.ndarray, best: np.ndarray, risk: str, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the risk [m] of outcomes [m, n], and a subgradient [m, d].

    The CVaR is the mean of the worst (1 - level) n samples, the last of them in part.
    """
    if risk == "mean":
        return outcome.mean(axis=1), slopes.mean(axis=1)
    size = outcome.shape[1]
    if risk == "regret":
        worst, weights = np.argmax(outcome - best, axis=1)[:, None], np.ones(1)
        values = np.take_along_axis(outcome - best, worst, axis=1)
    else:
        count = min((1 - level) * size, size)
        last = size - math.ceil(count)
        worst = np.argpartition(outcome, last, axis=1)[:, last:]  # the mildest of them first
        weights = np.ones(size - last)
        weights[0] -= size - last - count
        weights /= count
        values = np.take_along_axis(outcome, worst, axis=1)
    chosen = np.take_along_axis(slopes, worst[:, :, None], axis=1)
    return values @ weights, np.einsum("mnd,n->md", chosen, weights)
