"""What a budget buys: the curve of its models, the most tokens, the largest size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.planning.curves import (
    DEEP,
    EXPONENT,
    Point,
    log_limit,
    softplus_inverse,
    value_and_slope,
)
from scaling_jax.planning.scenario import LOG_PARAMS, LOG_TOKENS, Scenario
from scaling_jax.solve.search import bisect

_SCAN, _HALVINGS = 64, 50


class BudgetCurve(NamedTuple):
    """The models that a budget pays for: at each log N as many tokens as it buys.

    `most` is the largest log N that leaves something for training. Where the cost jumps in N
    and the law may rise in D (`rising`), they are as many tokens as lower the loss: a larger
    model may be out of reach though budget is left over.
    """

    scenario: Scenario
    most: jax.Array
    end: jax.Array
    stepped: bool
    rising: bool

    @classmethod
    def of(cls, s: Scenario, stepped: bool, rising: bool) -> "BudgetCurve":
        """Return the curve within the limits of the question; `stepped` is of cost in D."""
        zero = 0 * jnp.log(jnp.asarray(s.query.budget))
        most = largest_params(s, LOG_TOKENS[0] + zero)
        end = log_limit(s.query.max_tokens, LOG_TOKENS[1]) + zero
        return cls(s, most, end, stepped, rising)

    @property
    def low(self) -> jax.Array:
        """u next to the asymptote."""
        return -DEEP + 0 * self.most

    @property
    def high(self) -> jax.Array:
        """u at the smallest model."""
        return softplus_inverse(EXPONENT * (self.most - LOG_PARAMS[0]))

    def feasible(self) -> jax.Array:
        """Return whether the budget pays for any model."""
        return jnp.isfinite(self.most)

    def start(self, u: jax.Array) -> Any:
        """Return what `step` begins with: nothing."""
        return u

    def near(self, u: jax.Array) -> Any:
        """Return what `at` begins with: nothing."""
        return u

    def step(self, u: jax.Array, state: Any) -> tuple[Point, Any]:
        """Return the model at u."""
        return self.at(u, state, 2), state

    def at(self, u: jax.Array, near: Any, steps: int = 5) -> Point:
        """Return the model at u."""
        bent = jnp.log1p(jnp.exp(-jnp.abs(u)))
        log_params = self.most - (jnp.maximum(u, 0.0) + bent) / EXPONENT
        log_tokens = jnp.minimum(self.tokens(log_params, steps), self.end)
        return Point(log_params, self._useful(log_params, log_tokens))

    def leaves_over(self, point: Point) -> jax.Array:
        """Return whether a model costs less than the budget."""
        budget = jnp.log(jnp.asarray(self.scenario.query.budget))
        return self.scenario.log_cost(*point) < budget - 1e-6

    def _useful(self, log_params: jax.Array, most: jax.Array) -> jax.Array:
        if not self.rising:
            return most

        def falls(log_tokens: jax.Array) -> jax.Array:
            return jax.grad(self.scenario.log_loss, 1)(log_params, log_tokens) < 0

        start = LOG_TOKENS[0] + 0 * most
        return jnp.where(falls(most), most, bisect(falls, start, most, 20)[0])

    def tangent(self, u: jax.Array, point: Point) -> Point:
        """Return d(log N, log D) / du; tokens stand still where there are no more."""
        falling = -jax.nn.sigmoid(u) / EXPONENT
        by_params, by_tokens = jax.grad(self.scenario.log_cost, (0, 1))(*point)
        tokens = -falling * by_params / by_tokens
        return Point(falling, jnp.where(point.log_tokens < self.end, tokens, 0.0))

    def tokens(self, log_params: jax.Array, steps: int = 5) -> jax.Array:
        """Return the log of the most tokens that the budget buys; NaN where it buys none."""
        return affordable_tokens(self.scenario, log_params, steps, self.stepped)


def largest_params(s: Scenario, log_tokens: jax.Array) -> jax.Array:
    """Return the log of the most parameters that the budget pays for; NaN where none."""
    top = log_limit(s.query.max_params, LOG_PARAMS[1]) + 0 * log_tokens
    budget = jnp.log(jnp.asarray(s.query.budget))
    width = (top - LOG_PARAMS[0]) / (_SCAN - 1)

    def paid(log_params: jax.Array) -> jax.Array:
        return s.log_cost(log_params, log_tokens) <= budget

    def scan(i: jax.Array, found: jax.Array) -> jax.Array:
        x = LOG_PARAMS[0] + width * i.astype(width.dtype)
        return jnp.where(paid(x), x, found)

    found = jax.lax.fori_loop(0, _SCAN, scan, jnp.nan + 0 * top)
    most, _ = bisect(paid, found, jnp.minimum(found + width, top), _HALVINGS)
    # Off the edge, if it is one: rounding must not carry the model over it.
    most -= 16 * jnp.finfo(most.dtype).eps * jnp.abs(most)
    return jnp.where(paid(top), top, most)


def affordable_tokens(
    s: Scenario, log_params: jax.Array, steps: int, stepped: bool
) -> jax.Array:
    """Return the log of the most tokens that the budget buys N parameters; NaN where none.

    Nearly every cost is linear in D, so that a step from one token is exact; further ones are
    Newton's in log D. Where the cost jumps in D it is bisected.
    """
    budget = jnp.asarray(s.query.budget)
    zero = 0 * log_params

    def log_cost(log_tokens: jax.Array) -> jax.Array:
        return s.log_cost(log_params, log_tokens)

    if stepped:
        start, end = LOG_TOKENS[0] + zero, LOG_TOKENS[1] + zero
        most, _ = bisect(lambda x: log_cost(x) <= jnp.log(budget), start, end, _HALVINGS)
        return jnp.where(log_cost(start) <= jnp.log(budget), most, jnp.nan)
    log_fixed, share = value_and_slope(log_cost, zero)
    # cost(D) = cost(1) (1 + share (D - 1)), with share what the first token costs.
    left = jnp.expm1(jnp.log(budget) - log_fixed)
    first = jnp.log1p(jnp.where(left > 0, left, jnp.nan) / share)

    def step(_: int, x: jax.Array) -> jax.Array:
        value, slope = value_and_slope(log_cost, x)
        move = jnp.clip((jnp.log(budget) - value) / slope, -4.0, 4.0)
        return jnp.where(jnp.isnan(move), x, jnp.clip(x + move, LOG_TOKENS[0], LOG_TOKENS[1]))

    return jax.lax.fori_loop(0, steps, step, jnp.clip(first, LOG_TOKENS[0], LOG_TOKENS[1]))
