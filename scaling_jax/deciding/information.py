"""What it is worth to know one source of uncertainty, and where demand begins to matter.

The value of knowing a source s, the other sources t staying unknown, is

    min over x of E_s E_t J(x; s, t)  -  E_s min over x of E_t J(x; s, t)  >=  0,

both on one product of m values of s with n' samples of t, sources taken as independent.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.costs import Demand
from scaling_jax.deciding.cutting import minimise
from scaling_jax.deciding.outcomes import (
    Detail,
    Samples,
    Target,
    outcomes,
    risk_of,
    samples_of,
)
from scaling_jax.deciding.samples import Joint
from scaling_jax.planning import Plan, plan

_OUTER, _INNER = 48, 192
_MAX_BREAK_EVENS = 1000
_LEAST_SAVING = 0.01
_BISECTIONS = 60


class Chooser(NamedTuple):
    """How a commitment is sought: its kind, the box to start with, and how fine it ends."""

    adaptive: bool
    target: Target
    reference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tolerance: float

    def detail(self, x: np.ndarray, samples: Samples) -> tuple[np.ndarray, Detail]:
        """Return slopes and outcomes of m commitments, each in its n samples, on the host."""
        at = jnp.asarray(x, self.reference.dtype)
        found = outcomes(at, self.reference, samples, self.target, adaptive=self.adaptive)
        return jax.tree.map(np.asarray, found)

    def risk(
        self, x: np.ndarray, samples: Samples, risk: str = "mean", level: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the risk of m commitments, and subgradients.

        Where some sample has no such model the risk is infinite and the gradient leads back:
        a size that is too small never reaches a loss, one too large is not served in a budget.
        """
        slopes, detail = self.detail(x, samples)
        outcome, best = np.asarray(detail.outcome), np.asarray(samples.best)
        value, gradient = risk_of(outcome, slopes, best, risk, level)
        missing = ~(np.isfinite(value) & np.all(np.isfinite(gradient), axis=1))
        back = -1.0 if self.target.budget is None else 1.0
        return np.where(missing, np.inf, value), np.where(missing[:, None], back, gradient)


def values_of_knowing(chooser: Chooser, joint: Joint) -> dict[str, float]:
    """Return, for each uncertain source, what knowing it before choosing saves on average."""
    values = {}
    for source in joint.uncertain:
        product = _product(joint, chooser.target, source)
        samples = samples_of(product, plan_each(product, chooser.target), chooser.target)
        count = len(samples.best)

        def each(x: np.ndarray, samples: Samples = samples) -> tuple[np.ndarray, np.ndarray]:
            return chooser.risk(x, samples)

        def together(
            x: np.ndarray, each: Callable = each, count: int = count
        ) -> tuple[np.ndarray, np.ndarray]:
            value, gradient = each(np.repeat(x, count, axis=0))
            if np.isinf(value).any():  # then only what leads back counts
                gradient = gradient[np.isinf(value)]
            return value.mean(keepdims=True), gradient.mean(axis=0, keepdims=True)

        low, high = (np.tile(edge, (count, 1)) for edge in (chooser.low, chooser.high))
        known = minimise(each, low, high, chooser.tolerance)
        (unknown,) = minimise(together, low[:1], high[:1], chooser.tolerance)
        saved = unknown.value - np.mean([search.value for search in known])
        values[source] = max(float(saved), 0.0)
    return values


def _product(joint: Joint, target: Target, source: str) -> Joint:
    """Return m values of a source, in rows, with n' samples of the others, in columns."""
    middle = joint.take(np.zeros(joint.size, int), **{source: np.arange(joint.size)})
    plans = plan_each(middle, target)
    # Equally spaced in the order of what they lead to: strata of equal probability.
    order = np.argsort(np.asarray(plans.total_cost / plans.loss), kind="stable")
    rows = order[_middles(joint.size, _OUTER)][:, None]
    columns = _middles(joint.size, _INNER)[None, :]
    rows, columns = np.broadcast_arrays(rows, columns)
    return joint.take(columns, **{source: rows})


def _middles(size: int, count: int) -> np.ndarray:
    """Return at most `count` equally spaced indices: all, or the middles of strata."""
    count = min(size, count)
    return ((np.arange(count) + 0.5) * size / count).astype(int)


def break_even(joint: Joint, target: Target) -> np.ndarray:
    """Return the demand, in tokens, at which the plan saves 1 % of the baseline's cost.

    One for each of some samples; each demand keeps its split into input and output. Infinite
    where no demand saves as much.
    """
    if joint.size > _MAX_BREAK_EVENS:
        joint = joint.take(_middles(joint.size, _MAX_BREAK_EVENS))
    served = joint.demand.tokens
    split = jax.tree.map(
        lambda one, typical: np.where(
            served > 0, one / np.where(served > 0, served, 1), typical
        ),
        joint.demand,
        Demand.of_tokens(1.0),
    )
    low, high = np.full(joint.size, np.log(1e3)), np.full(joint.size, np.log(1e18))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        tokens = np.exp(middle).astype(served.dtype)
        demand = jax.tree.map(lambda part, tokens=tokens: part * tokens, split)
        enough = (
            np.asarray(plan_each(joint._replace(demand=demand), target).saving) >= _LEAST_SAVING
        )
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(high < np.log(1e18), np.exp(high), np.inf)


def plan_each(joint: Joint, target: Target) -> Plan:
    """Return the plan of every one of joint samples."""
    return plan(joint.law, joint.cost, joint.demand, loss=target.loss, budget=target.budget)
