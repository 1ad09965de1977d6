"""What holds a plan where it is: two equations for log N and log D, and their derivatives.

Inside, the target and stationarity; at a limit, the target and the limit; with budget left
over, both limits. By the implicit function theorem the answer follows every input through them.
"""

import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax._pytree import Number
from scaling_jax.planning.curves import Point
from scaling_jax.planning.scenario import Scenario
from scaling_jax.solve.implicit import Map, eliminate, root

_NEWTON_STEPS = 5


class Active(enum.IntEnum):
    """What holds a plan beside its target."""

    INSIDE = 0  # the objective is stationary
    SIZE = 1  # params are given, or at their limit
    DATA = 2  # tokens are given, or at their limit
    BOTH = 3  # both limits, with budget left over
    RISE = 4  # the size, with budget left over: more tokens would raise the loss
    KINK = 5  # law or cost has a kink
    JUMP = 6  # law or cost jumps: the place is held
    BREAK = 7  # the cost jumps or bends at a size that it states
    HELD = 8  # tokens at their limit, at a jump, with budget left over
    CREST = 9  # a jump, with budget left over: more tokens would raise the loss


class Found(NamedTuple):
    """The best model of a search, its objective (NaN: there is none), what holds it there."""

    point: Point
    value: jax.Array
    active: jax.Array

    @classmethod
    def at(cls, point: Point, value: jax.Array, active: "Active | jax.Array") -> "Found":
        """Return what was found, with the dtypes of a search."""
        code = jnp.asarray(active, jnp.int32) + jnp.zeros_like(value, jnp.int32)
        return cls(point, value, code)

    def or_else(self, other: "Found", slack: "jax.Array | float" = 0.0) -> "Found":
        """Return the better of two; the other one where it is worse by less than the slack."""
        better = (other.value <= self.value + slack) | jnp.isnan(self.value)
        better &= ~jnp.isnan(other.value)
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), other, self)

    def where(self, feasible: jax.Array) -> "Found":
        """Return the same, with no value where it is not feasible."""
        sound = feasible & jnp.isfinite(self.value)
        for x in self.point:
            sound &= jnp.isfinite(x)
        return self._replace(value=jnp.where(sound, self.value, jnp.nan))


def solve(s: Scenario, found: Found, kinked: bool) -> tuple[Point, jax.Array]:
    """Return the model, differentiable, and the error that is left in its two equations.

    Where nothing was found it is an ordinary model, and not to be looked at.
    """
    sound = ~jnp.isnan(found.value)
    held = jnp.stack(
        [jnp.where(sound, x, safe) for x, safe in zip(found.point, _SAFE, strict=True)]
    )
    active = jnp.where(sound, found.active, Active.INSIDE.value)
    equations = _Equations(s, active, jax.lax.stop_gradient(held), sound, kinked)

    def newton() -> tuple[jax.Array, jax.Array]:
        def step(_: int, carry: Any) -> Any:
            x, best, least = carry
            jacobian, value = jax.jacfwd(_twice(equations.residual), has_aux=True)(x)
            error = jnp.max(jnp.abs(value))
            better = error < least
            move = jnp.clip(eliminate(jacobian, value), -0.5, 0.5)
            move = jnp.where(jnp.isfinite(move), move, 0.0)
            return x - move, jnp.where(better, x, best), jnp.where(better, error, least)

        first = (equations.held, equations.held, jnp.inf + jnp.zeros_like(held[0]))
        _, best, least = jax.lax.fori_loop(0, _NEWTON_STEPS, step, first)
        return jnp.where(sound, best, equations.held), least

    x, error = root(equations.residual, newton, equations.linear_solve, has_aux=True)
    return Point(x[0], x[1]), error


def _twice(function: Any) -> Any:
    def value(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = function(x)
        return out, out

    return value


# 1e9 params on 2e10 tokens, which any law and cost can say something of.
_SAFE = (20.7, 23.7)


class _Equations(NamedTuple):
    scenario: Scenario
    active: jax.Array
    held: jax.Array
    sound: jax.Array
    kinked: bool

    def residual(self, x: jax.Array) -> jax.Array:
        n, t = x[0], x[1]
        q, size, data = self.scenario.query, *self._anchors()
        capped = q.params is not None or q.max_params is not None
        first, second = self._target(n, t), self._stationary(n, t)
        if self.kinked:
            second = jnp.where(self._is(Active.KINK), self._kink(n, t), second)
        rises = self._is(Active.RISE, Active.CREST)
        if capped or self.kinked:
            second = jnp.where(rises, self._rise(n, t), second)
        sized = self._is(Active.SIZE, Active.JUMP, Active.BREAK)
        second = jnp.where(sized, n - size, second)
        slack = self._is(Active.BOTH, Active.HELD)
        second = jnp.where(slack | self._is(Active.DATA), t - data, second)
        first = jnp.where(slack | rises, n - size, first)
        return jnp.stack([first, second])

    def linear_solve(self, tangent: Map, right: jax.Array) -> jax.Array:
        matrix = jax.jacfwd(tangent)(jnp.zeros_like(right))
        unit = jnp.asarray([[1.0, 0.0], [0.0, 1.0]], right.dtype)
        return eliminate(jnp.where(self.sound, matrix, unit), right)

    def _is(self, *cases: Active) -> jax.Array:
        matches = [self.active == case.value for case in cases]
        return functools.reduce(jnp.logical_or, matches)

    def _target(self, n: jax.Array, t: jax.Array) -> jax.Array:
        q = self.scenario.query
        if q.loss is not None:
            return self.scenario.log_loss(n, t) - jnp.log(q.loss)
        return self.scenario.log_cost(n, t) - jnp.log(jnp.asarray(q.budget))

    def _stationary(self, n: jax.Array, t: jax.Array) -> jax.Array:
        s = self.scenario
        k_n, k_t = jax.grad(s.log_cost, (0, 1))(n, t)
        l_n, l_t = jax.grad(s.log_loss, (0, 1))(n, t)
        scale = jnp.abs(k_n * l_t) + jnp.abs(k_t * l_n)
        return (k_n * l_t - k_t * l_n) / jax.lax.stop_gradient(scale)

    def _rise(self, n: jax.Array, t: jax.Array) -> jax.Array:
        slope = jax.grad(self.scenario.log_loss, 1)(n, t)
        size = jnp.abs(jax.grad(self.scenario.log_loss)(n, t))
        return slope / jax.lax.stop_gradient(size)

    def _kink(self, n: jax.Array, t: jax.Array) -> jax.Array:
        """Where the lines that touch cost and loss on both sides of a kink meet."""
        s = self.scenario
        l_n, l_t = jax.grad(s.log_loss, (0, 1))(self.held[0], self.held[1])
        if s.query.loss is None:
            l_n, l_t = jax.grad(s.log_cost, (0, 1))(self.held[0], self.held[1])
        norm = jnp.sqrt(l_n * l_n + l_t * l_t)
        reach = float(jnp.finfo(self.held.dtype).eps) ** 0.5
        along = jax.lax.stop_gradient(jnp.stack([-l_t, l_n]) / norm) * reach
        x = jnp.stack([n, t])

        def line(place: jax.Array) -> jax.Array:
            def both(y: jax.Array) -> jax.Array:
                return s.log_cost(y[0], y[1]) + s.log_loss(y[0], y[1])

            value, slope = jax.jvp(both, (place,), (x - place,))
            return value + slope

        return line(self.held + along) - line(self.held - along)

    def _anchors(self) -> tuple[Number, Number]:
        """Return where log N and log D are held: at a limit, else at the place found."""
        q, (n, t) = self.scenario.query, self.held
        size = next((x for x in (q.params, q.max_params) if x is not None), None)
        data = next((x for x in (q.tokens, q.max_tokens) if x is not None), None)
        for each in self.scenario.breaks():
            # On the side of the jump on which it was found.
            near = jnp.abs(jnp.log(each) - n) < 64 * jnp.finfo(n.dtype).eps * jnp.abs(n)
            beside = jax.lax.stop_gradient(n - jnp.log(each))
            n = jnp.where(self._is(Active.BREAK) & near, jnp.log(each) + beside, n)
        if size is not None:
            limited = self.sound & self._is(Active.SIZE, Active.BOTH, Active.RISE)
            n = jnp.where(limited, jnp.log(size), n)
        if data is not None:
            limited = self.sound & self._is(Active.DATA, Active.BOTH, Active.HELD)
            t = jnp.where(limited, jnp.log(data), t)
        return n, t
