"""The forms that laws with further axes take; a law of one fills in a formula, no more.

A law says its axes once, as keyword parameters of the method that its form asks for. `loss`
takes the same ones, and whatever the laws nested in it take; `law_axes` reads them there.
"""

import abc
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from scaling_jax._axes import law_axes
from scaling_jax._numerics import as_floats
from scaling_jax._pytree import Number
from scaling_jax.laws.families import Chinchilla, Law, PowerSum, Terms, Tied
from scaling_jax.solve import increasing_root

# Where the tokens are looked for beyond which a loss rises: 1 to 1e25.
_LOG_TOKENS = (0.0, 57.5)


class LogLaw(Law):
    """A law that is written in log N and log D, so that float32 holds it at any size.

    It states `loss_at_log(log_params, log_tokens, *, ...)`.
    """

    _said_in: ClassVar[str] = "loss_at_log"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "loss" not in vars(cls):
            cls.loss = _with_the_axes_of(getattr(cls, cls._said_in), nested=_is_nested(cls))

    def loss(self, *args: Any, **axes: Any) -> jax.Array:
        """loss(params, tokens, **axes): the loss of N parameters trained on D tokens."""
        raise NotImplementedError

    @abc.abstractmethod
    def loss_at_log(self, *args: Any, **axes: Any) -> jax.Array:
        """loss_at_log(log_params, log_tokens, **axes): the loss from log N and log D."""


def _is_nested(law: type[Law]) -> bool:
    return any(field.name == "base" for field in dataclasses.fields(law))


def _with_the_axes_of(stated: Callable[..., Any], nested: bool) -> Callable[..., jax.Array]:
    """Return `loss` with the keyword parameters of another method for all to read."""

    def loss(self: Any, params: Number, tokens: Number, **axes: Number) -> jax.Array:
        """Return the loss of N parameters trained on D tokens."""
        params, tokens, axes = as_floats(params=params, tokens=tokens, axes=axes)
        return self.loss_at_log(jnp.log(params), jnp.log(tokens), **axes)

    kind = inspect.Parameter
    parameters = [kind(x, kind.POSITIONAL_OR_KEYWORD) for x in ("self", "params", "tokens")]
    parameters += _keywords(stated)
    if nested:
        parameters.append(kind("axes", kind.VAR_KEYWORD))
    loss.__signature__ = inspect.Signature(parameters)  # pyright: ignore
    return loss


def _keywords(method: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(method).parameters.values()
    return [x for x in parameters if x.kind is inspect.Parameter.KEYWORD_ONLY]


def read_by(law: Any, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the axes that a law reads."""
    read = law_axes(law)
    return dict(axes) if read.open else {x: axes[x] for x in read.names if x in axes}


def taken_by(method: Callable[..., Any], axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the axes that a method names."""
    return {x.name: axes[x.name] for x in _keywords(method) if x.name in axes}


class PowerSumAt(LogLaw):
    """A law that is a `PowerSum` once its axes are given: exact plans, closed inverses.

    It states `as_power_sum(*, ...)`.
    """

    _said_in: ClassVar[str] = "as_power_sum"

    @abc.abstractmethod
    def as_power_sum(self, *args: Any, **axes: Any) -> PowerSum:
        """Return the power sum that the law is at these axes."""

    def loss_at_log(self, log_params: Number, log_tokens: Number, **axes: Any) -> jax.Array:
        return self.as_power_sum(**axes).loss_at_log(log_params, log_tokens)

    def log_params_for(self, loss: Number, log_tokens: Number, **axes: Any) -> jax.Array:
        return self.as_power_sum(**axes).log_params_for(loss, log_tokens)

    def log_tokens_for(self, loss: Number, log_params: Number, **axes: Any) -> jax.Array:
        return self.as_power_sum(**axes).log_tokens_for(loss, log_params)


class Worth(LogLaw):
    """A law around a law: N parameters count for N times a factor that the axes give.

    It states `log_worth(*, ...)`, the log of the factor.
    """

    base: Law

    _said_in: ClassVar[str] = "log_worth"

    @abc.abstractmethod
    def log_worth(self, *args: Any, **axes: Any) -> jax.Array:
        """Return the log of what one parameter counts for."""

    def loss_at_log(self, log_params: Number, log_tokens: Number, **axes: Any) -> jax.Array:
        size = log_params + self.worth_at(axes)
        return self.base.loss_at_log(size, log_tokens, **read_by(self.base, axes))

    def falls_until(self, params: Number, **axes: Any) -> Number:
        size = params * jnp.exp(self.worth_at(axes))
        return self.base.falls_until(size, **read_by(self.base, axes))

    def as_power_sum(self, **axes: Any) -> PowerSum | None:
        base = self.base.as_power_sum(**read_by(self.base, axes))
        return None if base is None else _Resized(base=base, log_worth=self.worth_at(axes))

    def log_params_for(self, loss: Number, log_tokens: Number, **axes: Any) -> jax.Array | None:
        inner = read_by(self.base, axes)
        size = self.base.log_params_for(loss, log_tokens, **inner)
        return None if size is None else size - self.worth_at(axes)

    def log_tokens_for(self, loss: Number, log_params: Number, **axes: Any) -> jax.Array | None:
        size = log_params + self.worth_at(axes)
        return self.base.log_tokens_for(loss, size, **read_by(self.base, axes))

    def worth_at(self, axes: Mapping[str, Any]) -> jax.Array:
        """Return `log_worth` at those of the axes that it reads."""
        return self.log_worth(**taken_by(self.log_worth, axes))


class _Resized(PowerSum):
    """A power sum in which each parameter counts for e^log_worth."""

    base: PowerSum
    log_worth: Number

    def terms(self) -> Terms:
        t = self.base.terms()
        return t._replace(log_a=t.log_a - t.alpha * self.log_worth)

    def log_excess(self, loss: Number) -> jax.Array:
        return self.base.log_excess(loss)

    def loss_at(self, log_excess: Number) -> jax.Array:
        return self.base.loss_at(log_excess)


class Seen(LogLaw):
    """A law around a law: an increasing function of its loss.

    It states `seen(loss, *, ...)` and, where there is one, the inverse `unseen(value, *, ...)`.
    """

    base: Law

    _said_in: ClassVar[str] = "seen"

    @abc.abstractmethod
    def seen(self, *args: Any, **axes: Any) -> Number:
        """seen(loss, **axes): the function of a loss of the base law."""

    def unseen(self, *args: Any, **axes: Any) -> Any:
        """unseen(value, **axes): the loss of the base law at a value; NaN where none has it."""
        return None

    def loss_at_log(self, log_params: Number, log_tokens: Number, **axes: Any) -> jax.Array:
        loss = self.base.loss_at_log(log_params, log_tokens, **read_by(self.base, axes))
        return jnp.asarray(self.seen(loss, **taken_by(self.seen, axes)))

    def falls_until(self, params: Number, **axes: Any) -> Number:
        return self.base.falls_until(params, **read_by(self.base, axes))

    def as_power_sum(self, **axes: Any) -> PowerSum | None:
        base = self.base.as_power_sum(**read_by(self.base, axes))
        own = taken_by(self.seen, axes)
        if base is None or not self._has_inverse():
            return None
        return _SeenSum(base=base, through=self, axes=own)

    def log_params_for(self, loss: Number, log_tokens: Number, **axes: Any) -> jax.Array | None:
        if not self._has_inverse():
            return None
        inner = self.unseen(loss, **taken_by(self.seen, axes))
        return self.base.log_params_for(inner, log_tokens, **read_by(self.base, axes))

    def log_tokens_for(self, loss: Number, log_params: Number, **axes: Any) -> jax.Array | None:
        if not self._has_inverse():
            return None
        inner = self.unseen(loss, **taken_by(self.seen, axes))
        return self.base.log_tokens_for(inner, log_params, **read_by(self.base, axes))

    def _has_inverse(self) -> bool:
        return type(self).unseen is not Seen.unseen


class _SeenSum(PowerSum):
    """A power sum whose loss is seen through an increasing function."""

    base: PowerSum
    through: Seen
    axes: dict[str, Number]

    def terms(self) -> Terms:
        return self.base.terms()

    def log_excess(self, loss: Number) -> jax.Array:
        return self.base.log_excess(self.through.unseen(loss, **self.axes))

    def loss_at(self, log_excess: Number) -> jax.Array:
        return jnp.asarray(self.through.seen(self.base.loss_at(log_excess), **self.axes))


class Damage(LogLaw):
    """A law around a law: plus a term that grows with tokens, so that in the end it rises.

    It states `log_damage(log_params, log_tokens, *, ...)` and `damage_exponent`, the power of
    D in it.
    """

    base: Law

    _said_in: ClassVar[str] = "log_damage"

    @abc.abstractmethod
    def log_damage(self, *args: Any, **axes: Any) -> Number:
        """log_damage(log_params, log_tokens, **axes): the log of what is added to the loss."""

    @abc.abstractmethod
    def damage_exponent(self) -> Number:
        """Return the power of D with which the added term grows."""

    def loss_at_log(self, log_params: Number, log_tokens: Number, **axes: Any) -> jax.Array:
        loss = self.base.loss_at_log(log_params, log_tokens, **read_by(self.base, axes))
        return loss + jnp.exp(self.damage_at(log_params, log_tokens, axes))

    def falls_until(self, params: Number, **axes: Any) -> Number:
        """Return D at which a further token harms as much as it helps.

        For a sum A / N^alpha + B / D^beta plus c D^gamma it is
        (beta B / (gamma c))^(1 / (beta + gamma)); else the root of the slope.
        """
        log_params = jnp.log(params)
        power = self.base.as_power_sum(**read_by(self.base, axes))
        if power is None or not _is_sum(power):
            return turning_tokens(self, params, **axes)
        t, gamma = power.terms(), self.damage_exponent()
        log_scale = self.damage_at(log_params, jnp.zeros_like(log_params), axes)
        help_, harm = jnp.log(t.beta) + t.log_b, jnp.log(gamma) + log_scale
        return jnp.exp((help_ - harm) / (t.beta + gamma))

    def damage_at(
        self, log_params: Number, log_tokens: Number, axes: Mapping[str, Any]
    ) -> Number:
        """Return `log_damage` at those of the axes that it reads."""
        return self.log_damage(log_params, log_tokens, **taken_by(self.log_damage, axes))


def _is_sum(power: PowerSum) -> bool:
    """Return whether the loss is linear in the excess: E + A / N^alpha + B / D^beta."""
    while isinstance(power, _Resized):
        power = power.base
    return isinstance(power, Chinchilla | Tied)


def turning_tokens(law: Law, params: Number, **axes: Any) -> jax.Array:
    """Return the D at which dL / d log D turns positive, infinite where it does not.

    The slope must change its sign but once: that of a convex function of log D does.
    """
    log_params = jnp.log(params)

    def slope(log_tokens: jax.Array) -> jax.Array:
        log_tokens = jnp.broadcast_to(log_tokens, jnp.shape(log_tokens + log_params))
        along = jnp.ones_like(log_tokens)
        loss = lambda d: law.loss_at_log(log_params, d, **axes)  # noqa: E731
        return jax.jvp(loss, (log_tokens,), (along,))[1]

    low, high = (jnp.full_like(log_params, end) for end in _LOG_TOKENS)
    rises, falls = slope(low) > 0, slope(high) < 0
    inner = jnp.exp(increasing_root(slope, *_LOG_TOKENS))
    return jnp.where(falls, jnp.inf, jnp.where(rises, 1.0, inner))
