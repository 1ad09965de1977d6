"""Held-out evaluation along the direction that will be used: fit below, predict above."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from scaling_jax._axes import call_law
from scaling_jax._errors import Refusal
from scaling_jax.fitting.fitter import fit
from scaling_jax.fitting.records import Fit
from scaling_jax.laws import Chinchilla, Coupled, Law, Tied
from scaling_jax.runs import Runs, read_runs


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """How a family, fitted to some runs, predicts others.

    Attributes:
        family: the family's name.
        fitted: the fit to the runs that were not held out.
        runs: the runs held out.
        errors: prediction / measurement - 1 of each of them.
    """

    family: str
    fitted: Fit
    runs: Runs
    errors: np.ndarray

    @property
    def bias(self) -> float:
        """The mean signed error; negative where losses are predicted too low."""
        return float(self.errors.mean())

    @property
    def error(self) -> float:
        """The mean absolute error."""
        return float(np.abs(self.errors).mean())


def holdout(
    runs: Runs | Any,
    families: Sequence[type[Law] | Law] = (Chinchilla, Tied, Coupled),
    *,
    limits: Mapping[str, Any],
    **options: Any,
) -> list[HeldOut]:
    """Fit each family to the runs within the limits, and predict the others.

    In sample the family of more coefficients always wins; choose one by this table instead.

    Args:
        runs: all the runs.
        families: the families to compare, or laws, as `fit` takes them.
        limits: what is fitted, as `Runs.within` names it; the other runs are held out:
            {"max_tokens_per_param": 100}, {"max_epochs": 4}, {"corpus": "c4"} …
        **options: as `fit` takes them.

    Returns:
        One `HeldOut` per family that the runs left can fix, the smallest error first.

    Raises:
        ValueError: no limit is given, no run is held out, or those left fix no family.

    Example:
        >>> from scaling_jax.laws import HOFFMANN_2022
        >>> params = np.repeat([1e8, 1e9, 1e10], 4)
        >>> tokens = params * np.tile([10.0, 30.0, 90.0, 1000.0], 3)
        >>> runs = Runs(params=params, tokens=tokens, loss=HOFFMANN_2022(params, tokens))
        >>> best = holdout(runs, [Chinchilla, Tied], limits={"max_tokens_per_param": 100})[0]
        >>> best.family, len(best.runs)
        ('Chinchilla', 3)
    """
    runs = read_runs(runs)
    if not limits:
        raise Refusal("holdout needs a limit, such as {'max_tokens_per_param': 100}")
    fitted = runs.within(**limits)
    below, above = runs.where(fitted), runs.where(~fitted)
    if not len(above):
        words = " and ".join(f"{name} {_said(limit)}" for name, limit in limits.items())
        raise Refusal(f"no run is outside of {words}; change the limit to hold some out")
    table, refusals = [], []
    for family in families:
        try:
            table.append(_evaluate(fit(below, family, **options), above))
        except Refusal as refusal:
            refusals.append(refusal)
    if not table and refusals:
        raise refusals[0]
    return sorted(table, key=lambda row: row.error)


def _said(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float | int) else str(limit)


def _evaluate(fitted: Fit, runs: Runs) -> HeldOut:
    with jax.enable_x64(True):
        axes = {name: runs[name] for name in fitted.problem.data.points.axes}
        predicted = np.asarray(call_law(fitted.law, runs.params, runs.tokens, **axes))
    return HeldOut(
        family=type(fitted.law).__name__,
        fitted=fitted,
        runs=runs,
        errors=predicted / runs.loss - 1,
    )
