"""Laws and costs of your own, from a Python file: `mylaws.py:MyLaw`.

What is wrong with such a file is said in one sentence with file and line, whenever it comes
to light: when it is read, when its law is made, or when a formula in it is called.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable
from typing import Any

from scaling_jax.cli.own_coefficients import has_default
from scaling_jax.cli.own_files import is_own, load

_LAW, _COST = ("params", "tokens"), ("params", "tokens", "demand")


def law(text: str) -> Any:
    """Return what FILE.py:NAME holds as a law: a class of laws, a law, or a function.

    A class joins the registry of families under this very name, so that what is fitted of it
    can be written to a file and read again.
    """
    from scaling_jax.laws import FAMILIES, Law, Sourced  # noqa: PLC0415

    found = load(text, "--law")
    if isinstance(found, type) and issubclass(found, Law):
        if inspect.isabstract(found):
            raise ValueError(f"--law is {text!r}, which has no loss(self, params, tokens)")
        FAMILIES[text] = found
        _check_arguments(text, found.loss, ("self", *_LAW))
    elif isinstance(found, Law | Sourced):
        pass
    elif callable(found) and not isinstance(found, type):
        _check_arguments(text, found, _LAW)
    else:
        raise ValueError(
            f"--law is {text!r}, which is {_kind(found)}; it must be a Law, a class of laws, "
            "or a function of (params, tokens)"
        )
    return found


def family(name: str) -> Any:
    """Return a family of laws to fit, by its name or from a file; a law is one more start."""
    from scaling_jax.laws import Law  # noqa: PLC0415
    from scaling_jax.laws import family as known  # noqa: PLC0415

    if not is_own(name):
        return known(name)
    found = law(name)
    if not isinstance(found, type | Law):
        raise ValueError(f"--law is {name!r}, {_kind(found)}; to be fitted it must be a Law")
    return found


def cost(text: str) -> Callable[..., Any]:
    """Return what FILE.py:NAME holds as a cost: a record, made where it is a class, or a
    function.
    """
    from scaling_jax._pytree import Record  # noqa: PLC0415

    found = load(text, "--cost")
    if isinstance(found, type) and issubclass(found, Record):
        bare = [each.name for each in dataclasses.fields(found) if not has_default(each)]  # pyright: ignore
        if bare:
            raise ValueError(
                f"--cost is {text!r}, a class without defaults for {', '.join(bare)}; give it "
                "some, or name an instance"
            )
        found = found()
    if isinstance(found, type) or not callable(found):
        raise ValueError(
            f"--cost is {text!r}, which is {_kind(found)}; it must be a Cost record, or a "
            "function of (params, tokens, demand)"
        )
    _check_arguments(text, found, _COST)
    return found


def _check_arguments(text: str, function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Raise ValueError where a function cannot take so many positional arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return  # a built-in function tells nothing
    kinds = [each.kind for each in parameters]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return
    if sum(kind in positional for kind in kinds) < len(names):
        takes = ", ".join(each.name for each in parameters)
        raise ValueError(
            f"{text} takes ({takes}); it must take ({', '.join(names)}), and any axes after"
        )


def check_answers(law: Any, cost: Any, demand: Any, axes: dict[str, Any]) -> None:
    """Raise ValueError where law or cost answer with anything but numbers and a bill.

    Both are called abstractly, with no number in particular.
    """
    import jax  # noqa: PLC0415

    from scaling_jax._axes import call_cost, call_law  # noqa: PLC0415
    from scaling_jax.costs import Bill  # noqa: PLC0415

    def answers(params: Any, tokens: Any) -> Any:
        loss = call_law(law, params, tokens, **axes)
        bill = None if cost is None else call_cost(cost, params, tokens, demand, **axes)
        kept.extend((loss, bill))

    kept: list[Any] = []
    jax.eval_shape(answers, 1e9, 2e10)
    loss, bill = kept
    if getattr(loss, "shape", ()) != () or isinstance(loss, str) or loss is None:
        raise ValueError(f"the law's loss is {_kind(loss)}; it must be a number")
    if cost is not None and not isinstance(bill, Bill):
        raise ValueError(f"the cost returns {_kind(bill)}; it must be a Bill(train=…, serve=…)")


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, type | types.ModuleType):
        return "a class" if isinstance(value, type) else "a module"
    if getattr(value, "shape", None) == ():
        return "a number"
    if getattr(value, "shape", ()) != ():
        return f"an array of shape {value.shape}"
    return f"a {type(value).__name__}"
