"""Axes: the named properties of a model beyond (params, tokens), and who reads which.

An axis is a keyword parameter of a law's `loss` or of a cost, such as `unique_tokens` or
`serve_bits`. What is said once, in a signature, is what `plan`, `fit`, `grid` and the command
ask for by the same name.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from scaling_jax._pytree import Record

# What `loss` and a cost take before any axis: (params, tokens) and (params, tokens, demand).
_LAW_ARGUMENTS, _COST_ARGUMENTS = 2, 3


class Axes(NamedTuple):
    """The axes that a function reads; an `open` one (with `**axes`) takes any other too."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Required ones, then optional ones."""
        return self.required + self.optional


def law_axes(law: Any) -> Axes:
    """Return the axes that a law reads.

    Of a record the keyword parameters of its `loss`, and of the laws nested in it where its
    `loss` passes further ones on (`**axes`); of a plain function the parameters after
    (params, tokens).

    Example:
        >>> law_axes(lambda params, tokens, bits, samples=1: 2.0)
        Axes(required=('bits',), optional=('samples',), open=False)
    """
    own = _read(getattr(law, "loss", law), _LAW_ARGUMENTS)
    if not (own.open and isinstance(law, Record)):
        return own
    return _merged([own._replace(open=False), *map(law_axes, _nested(law))])


def cost_axes(cost: Any) -> Axes:
    """Return the axes that a cost reads: its parameters after (params, tokens, demand)."""
    return _read(cost, _COST_ARGUMENTS)


def call_law(law: Any, params: Any, tokens: Any, **axes: Any) -> Any:
    """Return the loss under a law, which is given those of the axes that it reads."""
    return law(params, tokens, **_wanted(law_axes(law), axes))


def call_cost(cost: Any, params: Any, tokens: Any, demand: Any, **axes: Any) -> Any:
    """Return the bill of a cost, which is given those of the axes that it reads."""
    return cost(params, tokens, demand, **_wanted(cost_axes(cost), axes))


def _wanted(read: Axes, axes: dict[str, Any]) -> dict[str, Any]:
    return axes if read.open else {name: axes[name] for name in read.names if name in axes}


def check_axes(law: Any, cost: Any, given: Iterable[str]) -> None:
    """Raise ValueError where an axis is needed and not given, or given and not read."""
    named = list(given)
    readers = {"law": law_axes(law), "cost": cost_axes(cost)}
    for who, axes in readers.items():
        for name in axes.required:
            if name not in named:
                raise ValueError(f"the {who} needs the axis {name!r}, which is not given")
    if any(axes.open for axes in readers.values()):
        return
    known = sorted({name for axes in readers.values() for name in axes.names})
    for name in named:
        if name not in known:
            reads = f"they read {', '.join(known)}" if known else "they read none"
            raise ValueError(f"neither the law nor the cost reads the axis {name!r}; {reads}")


def _read(function: Callable[..., Any], skip: int) -> Axes:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a built-in function tells nothing
        return Axes(open=True)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = [x for x in parameters if x.kind is not inspect.Parameter.VAR_POSITIONAL]
    rest = rest[sum(x.kind in positional for x in rest[:skip]) :]
    takes_any = any(x.kind is inspect.Parameter.VAR_KEYWORD for x in rest)
    named = [x for x in rest if x.kind is not inspect.Parameter.VAR_KEYWORD]
    required = tuple(x.name for x in named if x.default is inspect.Parameter.empty)
    optional = tuple(x.name for x in named if x.default is not inspect.Parameter.empty)
    return Axes(required, optional, takes_any)


def _nested(law: Record) -> list[Any]:
    """Return the laws in the fields of a law, and in its tuples."""
    values = vars(law).values()
    each = [x for v in values for x in (v if isinstance(v, tuple | list) else [v])]
    return [x for x in each if isinstance(x, Record) and hasattr(x, "loss")]


def _merged(parts: list[Axes]) -> Axes:
    required = dict.fromkeys(name for axes in parts for name in axes.required)
    optional = dict.fromkeys(name for axes in parts for name in axes.optional)
    rest = tuple(name for name in optional if name not in required)
    return Axes(tuple(required), rest, any(axes.open for axes in parts))
