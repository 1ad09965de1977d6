"""The models among which a plan is chosen, as a curve in one coordinate u, log D growing.

Of one loss, log N falls along it without a bound at one end and log D rises without a bound
at the other; u = 0 is in the bend between, and far from it u moves log N or log D evenly.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.laws import Terms
from scaling_jax.planning.scenario import LOG_PARAMS, LOG_TOKENS, Scenario
from scaling_jax.solve.search import Cell, bisect, lowest_cells

# A curve without exponents of its own bends like a power of this exponent.
EXPONENT = 0.33
# How far u goes into the asymptote of few tokens: their log, relative to the bend.
DEEP = 25.0
# The ends of a curve need not be sharp: at a limit Newton's method finishes.
_END_HALVINGS = 36
# By how much log N may be above log D: without a bound, unless less of it reaches further.
EXCESSES = (100.0, 4.0, 1.0, -2.0, -5.0)


class Point(NamedTuple):
    """A model as (log N, log D)."""

    log_params: jax.Array
    log_tokens: jax.Array


class ShareCurve(NamedTuple):
    """The models of one loss under a sum of powers: u is the logit of the size term's share.

    No root, no asymptote: log N and log D are convex in u, and so is the logarithm of every
    cost that is a sum, product or maximum of powers with exponents of zero or more.
    """

    terms: Terms
    log_excess: jax.Array
    low: jax.Array
    high: jax.Array

    @classmethod
    def of(cls, s: Scenario, log_excess: jax.Array) -> "ShareCurve":
        """Return the curve within the limits of the question."""
        power = s.power_sum()
        assert power is not None
        t = Terms(*(jnp.asarray(x, log_excess.dtype) for x in power.terms()))
        bare = cls(t, log_excess, log_excess, log_excess)
        least, most = (
            bare._least(),
            (log_limit(s.query.max_params, 60.0), log_limit(s.query.max_tokens, 80.0)),
        )
        low = -softplus_inverse(t.alpha * (most[0] - least.log_params))
        high = softplus_inverse(t.beta * (most[1] - least.log_tokens))
        return bare._replace(low=low, high=high)

    def _least(self) -> Point:
        t = self.terms
        return Point(
            jnp.asarray((t.log_a - self.log_excess) / t.alpha),
            jnp.asarray((t.log_b - self.log_excess) / t.beta),
        )

    def feasible(self) -> jax.Array:
        """Return whether any model of the curve is within the limits."""
        slack = 64 * jnp.finfo(self.low.dtype).eps * (1 + jnp.abs(self.low))
        return jnp.isfinite(self.log_excess) & (self.low <= self.high + slack)

    def first_model(self) -> Point:
        """Return the model at the limit of parameters."""
        return self.at(self.low, self.low)

    def last_model(self) -> Point:
        """Return the model at the limit of tokens."""
        return self.at(self.high, self.high)

    def start(self, u: jax.Array) -> Any:
        """Return what `step` begins with: nothing."""
        return u

    def near(self, u: jax.Array) -> Any:
        """Return what `at` begins with: nothing."""
        return u

    def step(self, u: jax.Array, state: Any) -> tuple[Point, Any]:
        """Return the model at u."""
        return self.at(u, state), state

    def at(self, u: jax.Array, near: Any) -> Point:
        """Return the model at u."""
        t, least = self.terms, self._least()
        bent = jnp.log1p(jnp.exp(-jnp.abs(u)))
        return Point(
            least.log_params + (jnp.maximum(-u, 0.0) + bent) / t.alpha,
            least.log_tokens + (jnp.maximum(u, 0.0) + bent) / t.beta,
        )

    def tangent(self, u: jax.Array, point: Point) -> Point:
        """Return d(log N, log D) / du."""
        t, rising = self.terms, jax.nn.sigmoid(u)
        return Point((rising - 1) / t.alpha, rising / t.beta)


class TokenCurve(NamedTuple):
    """The models of one loss under any law that falls in N: log N by Newton's method.

    `first` and `last` bound log D; at `first` log N is at its limit, or next to infinite.
    A law may rise in N where there are many parameters for few tokens: `excess` is by how much
    log N may be above log D, so that a loss is reached with the fewest tokens.
    """

    log_loss: Callable[[jax.Array, jax.Array], jax.Array]
    target: jax.Array
    most: jax.Array
    excess: jax.Array
    first: jax.Array
    last: jax.Array
    reached: jax.Array

    @classmethod
    def of(cls, s: Scenario, loss: jax.Array) -> "TokenCurve":
        """Return the curve within the limits of the question."""
        target = jnp.log(loss)
        most = log_limit(s.query.max_params, LOG_PARAMS[1]) + 0 * target
        end = log_limit(s.query.max_tokens, LOG_TOKENS[1]) + 0 * target

        def within(excess: jax.Array) -> "TokenCurve":
            bare = cls(s.log_loss, target, most, excess, end, end, target < target)  # noqa: PLR0124 (false, typed as the target)
            return bare._ended(end)

        excesses = jnp.asarray(EXCESSES, target.dtype)
        first, last, reached = jax.vmap(lambda x: within(x)[-3:])(excesses)
        found = first[0], last[0], reached[0], excesses[0] + 0 * target
        for i in range(1, len(EXCESSES)):
            new = first[i], last[i], reached[i], excesses[i]
            better = reached[i] & (~found[2] | (first[i] < found[0] - 1e-3))
            found = tuple(jnp.where(better, a, b) for a, b in zip(new, found, strict=True))
        return cls(s.log_loss, target, most, found[3], *found[:3])

    def _ended(self, end: jax.Array) -> "TokenCurve":
        """Return the curve with its ends."""

        def lowest(log_tokens: jax.Array) -> jax.Array:
            return self.log_loss(self._ceiling(log_tokens), log_tokens)

        best, least = lowest_up_to(lowest, end)

        def ends(side: jax.Array) -> jax.Array:
            """Return where the loss is reached first (side 0) or last (side 1)."""

            def beyond(x: jax.Array) -> jax.Array:
                return (lowest(x) <= self.target) == (side > 0)

            start = jnp.where(side > 0, best, LOG_TOKENS[0])
            stop = jnp.where(side > 0, end, best)
            left, right = bisect(beyond, start, stop, _END_HALVINGS)
            return jnp.where(side > 0, left, right)

        first, last = jax.vmap(ends)(jnp.asarray([0.0, 1.0], end.dtype))
        last = jnp.where(best >= end, end, last)
        slack = 64 * jnp.finfo(end.dtype).eps
        return self._replace(first=first, last=last, reached=least <= self.target + slack)

    def _ceiling(self, log_tokens: jax.Array) -> jax.Array:
        return jnp.minimum(self.most, log_tokens + self.excess)

    @property
    def low(self) -> jax.Array:
        """u next to the asymptote."""
        return jnp.minimum(-0.5 * DEEP + 0 * self.first, self.high)

    @property
    def high(self) -> jax.Array:
        """u at the most tokens."""
        return softplus_inverse(EXPONENT * (self.last - self.first))

    def feasible(self) -> jax.Array:
        """Return whether any model of the curve is within the limits."""
        return self.reached

    def first_model(self) -> Point:
        """Return the model at the limit of parameters; NaN where it is not on the curve."""
        limited = self._ceiling(self.first) >= self.most
        return Point(jnp.where(limited, self.most, jnp.nan), self.first)

    def last_model(self) -> Point:
        """Return the model at the limit of tokens."""
        log_params = self._newton(self._rough(self.last), self.last, 6)
        return Point(log_params, self.last)

    def start(self, u: jax.Array) -> Any:
        """Return what `step` begins with: log N next to u, twice."""
        log_params = self._rough(self._tokens(u))
        return log_params, log_params

    def near(self, u: jax.Array) -> Point:
        """Return what `at` begins with: a model next to u."""
        log_tokens = self._tokens(u)
        return Point(self._rough(log_tokens), log_tokens)

    def step(self, u: jax.Array, state: Any) -> tuple[Point, Any]:
        """Return the model at the next u of an even sequence."""
        last, before = state
        log_tokens = self._tokens(u)
        log_params = self._newton(2 * last - before, log_tokens, 4)
        return self._checked(log_params, log_tokens), (log_params, last)

    def at(self, u: jax.Array, near: Point) -> Point:
        """Return the model at u from one that is not far."""
        log_tokens = self._tokens(u)
        return self._checked(self._newton(near.log_params, log_tokens, 6), log_tokens)

    def tangent(self, u: jax.Array, point: Point) -> Point:
        """Return d(log N, log D) / du."""
        rising = jax.nn.sigmoid(u) / EXPONENT
        by_params, by_tokens = jax.grad(self.log_loss, (0, 1))(*point)
        return Point(-rising * by_tokens / by_params, rising)

    def _rough(self, log_tokens: jax.Array) -> jax.Array:
        """Return log N at any log D, by bisection."""

        def above(log_params: jax.Array) -> jax.Array:
            return ~(self.log_loss(log_params, log_tokens) <= self.target)

        return bisect(above, LOG_PARAMS[0] + 0 * log_tokens, self._ceiling(log_tokens), 24)[1]

    def _tokens(self, u: jax.Array) -> jax.Array:
        bent = jnp.log1p(jnp.exp(-jnp.abs(u)))
        return jnp.minimum(self.first + (jnp.maximum(u, 0.0) + bent) / EXPONENT, self.last)

    def _newton(self, log_params: jax.Array, log_tokens: jax.Array, steps: int) -> jax.Array:
        def step(_: int, x: jax.Array) -> jax.Array:
            value, slope = value_and_slope(lambda n: self.log_loss(n, log_tokens), x)
            move = (self.target - value) / slope
            move = jnp.where(jnp.isnan(move), 0.0, jnp.clip(move, -1.5, 1.5))
            return jnp.clip(x + move, LOG_PARAMS[0], self._ceiling(log_tokens))

        return jax.lax.fori_loop(0, steps, step, log_params)

    def _checked(self, log_params: jax.Array, log_tokens: jax.Array) -> Point:
        error = jnp.abs(self.log_loss(log_params, log_tokens) - self.target)
        sound = error < float(jnp.finfo(error.dtype).eps) ** 0.45
        return Point(jnp.where(sound, log_params, jnp.nan), log_tokens)


def best_tokens(
    s: Scenario, log_params: jax.Array, end: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return log D up to `end` at which the loss is lowest, and the log of that loss.

    That is `end`, unless the loss rises before.
    """

    return lowest_up_to(lambda x: s.log_loss(log_params, x), end)


def lowest_up_to(
    function: Callable[[jax.Array], jax.Array], end: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return log D up to `end` at which a function is lowest, and its value there."""

    def value(log_tokens: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        return function(log_tokens), state

    def look(_: int, cell: Cell) -> Cell:
        # From the end on, so that of equal values the one of most tokens counts.
        return lowest_cells(value, cell.right, cell.left, 12, 1, end)[0]

    whole = Cell(0 * end + LOG_TOKENS[0], end, end, end)
    cell = jax.lax.fori_loop(0, 7, look, whole)
    return cell.middle, cell.value


def first_tokens(s: Scenario, log_params: jax.Array, end: jax.Array) -> jax.Array:
    """Return the log of the fewest tokens that bring a size to the loss; NaN where none do."""
    target = jnp.log(jnp.asarray(s.query.loss))
    best, lowest = best_tokens(s, log_params, end)
    slack = 64 * jnp.finfo(target.dtype).eps

    def above(log_tokens: jax.Array) -> jax.Array:
        return ~(s.log_loss(log_params, log_tokens) <= target)

    first = bisect(above, 0 * best + LOG_TOKENS[0], best, 50)[1]
    return jnp.where(lowest <= target + slack, first, jnp.nan)


def smallest_params(s: Scenario, log_tokens: jax.Array, most: jax.Array) -> jax.Array:
    """Return the log of the fewest parameters that reach the loss; NaN where none do."""
    target = jnp.log(jnp.asarray(s.query.loss))
    slack = 64 * jnp.finfo(target.dtype).eps
    top = jnp.nan * most
    for excess in EXCESSES:
        ceiling = jnp.minimum(most, log_tokens + excess)
        reached = s.log_loss(ceiling, log_tokens) <= target + slack
        top = jnp.where(reached, ceiling, top)

    def above(log_params: jax.Array) -> jax.Array:
        return ~(s.log_loss(log_params, log_tokens) <= target)

    return bisect(above, 0 * most + LOG_PARAMS[0], top, 50)[1]


def value_and_slope(
    function: Callable[[jax.Array], jax.Array], x: jax.Array
) -> tuple[Any, Any]:
    """Return a function's value and slope."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))


def log_limit(limit: Number | None, most: float) -> Any:
    """Return the logarithm of a limit, which is `most` without one and at most."""
    return most if limit is None else jnp.minimum(jnp.log(limit), most)


def softplus_inverse(y: jax.Array) -> jax.Array:
    """Return log(e^y - 1); minus infinity at zero and below, so that a curve ends there."""
    inside = y > 0
    y = jnp.where(inside, y, 1.0)
    return jnp.where(inside, y + jnp.log(-jnp.expm1(-y)), -jnp.inf)
