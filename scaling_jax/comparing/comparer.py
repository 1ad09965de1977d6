"""`compare`: which family do the runs follow, does any, and what if none does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.comparing import stacking
from scaling_jax.comparing.misfit import lack_of_fit
from scaling_jax.comparing.mixing import mixed
from scaling_jax.comparing.records import Comparison, Member
from scaling_jax.comparing.rolling import predictions
from scaling_jax.comparing.toward import Toward, along, origins
from scaling_jax.fitting import Fit, fit
from scaling_jax.fitting.descent import Progress
from scaling_jax.fitting.fitter import DELTA
from scaling_jax.laws import (
    BoundedRational,
    Chinchilla,
    ComputeRatio,
    Coupled,
    CoupledGrowth,
    CoupledRatio,
    DriftingRatio,
    Farseer,
    FixedCapacity,
    Kaplan,
    Law,
    LogQuadratic,
    SaturatingData,
    ScaledRatio,
    Tied,
    TiedCoupled,
)
from scaling_jax.runs import Runs, read_runs

FAMILIES: tuple[type[Law], ...] = (
    *(Chinchilla, Tied, Coupled, TiedCoupled, Kaplan),
    *(ScaledRatio, CoupledRatio, CoupledGrowth, DriftingRatio, ComputeRatio),
    *(FixedCapacity, SaturatingData, BoundedRational, Farseer, LogQuadratic),
)
# What is shown beside the others but may not predict.
YARDSTICKS = (LogQuadratic,)

# Origins lie above these shares of the runs, and above so many runs.
_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_LEAST = 6
# An origin with so many more runs than coefficients judges a family.
_SPARE = 1
# Of each fit: what more of them find changes no prediction by as much as families differ.
_RESTARTS = 2


class _Candidate(NamedTuple):
    name: str
    fitted: Fit
    errors: np.ndarray


def compare(
    runs: Runs | Any,
    families: Sequence[type[Law] | Law] | None = None,
    *,
    toward: Toward = "tokens_per_param",
    bootstrap: int = 0,
    delta: float | None = DELTA,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Return families side by side: which the runs follow, which predicts, and a mixture.

    Each family is fitted to all runs, and tested for what it leaves over
    (`comparing.lack_of_fit`). Then it is fitted to the runs below each of several origins
    along `toward`, and predicts those above: what it is judged by, never in sample. The
    weights of the mixture are `comparing.stacking`'s.

    Args:
        runs: `Runs`, or anything that `read_runs` reads.
        families: the families, or laws, as `fit` takes them; `comparing.FAMILIES` unless
            some are given.
        toward: where answers will be asked for: "tokens_per_param", "params",
            "train_flops", "corner" (many parameters and many tokens for each), or a planned
            point (params, tokens).
        bootstrap: how many resampled laws the mixture has: each is the law of one family,
            drawn with its weight, fitted to resampled runs.
        delta: Huber's threshold, as `fit` takes it.
        seed: of starts, resamples and drawn weights.
        progress: called as progress(families done, families in all).

    Raises:
        ValueError: an option is wrong, or the runs fix none of the families.

    Example:
        >>> from scaling_jax.runs import CPU47
        >>> found = compare(CPU47, [Chinchilla, Coupled], toward="train_flops")
        >>> list(found.weights), found.rejected
        (['coupled', 'chinchilla'], ('chinchilla',))
    """
    table = read_runs(runs)
    kinds = list(FAMILIES if families is None else families)
    _check(table, kinds, toward, bootstrap)
    counted = np.ones(len(table), bool) if table.weight is None else table.weight > 0
    below = origins(along(table, toward), counted, _SHARES, _LEAST)
    options = {"delta": delta, "seed": seed, "restarts": _RESTARTS, "diagnose": False}
    found, aside = _candidates(table, kinds, below, options, progress)
    freedom = np.array([_freedom(each.fitted) for each in found])
    weights = stacking.weights(np.array([each.errors for each in found]), freedom)
    members = [
        Member(
            name=each.name,
            fitted=each.fitted,
            misfit=lack_of_fit(each.fitted),
            errors=each.errors,
            weight=float(weight),
        )
        for each, weight in zip(found, weights, strict=True)
    ]
    ordered = tuple(sorted(members, key=lambda each: (-each.weight, each.holdout_error)))
    mixture, warnings = mixed(ordered, bootstrap, seed)
    return Comparison(
        members=ordered,
        aside=aside,
        toward=toward,
        below=below,
        mixture=mixture,
        warnings=warnings,
    )


def _check(table: Runs, kinds: list[Any], toward: Any, bootstrap: int) -> None:
    """Raise ValueError where an option is wrong, before any fit."""
    if not kinds:
        raise Refusal("families is empty; give at least one family")
    if bootstrap < 0 or int(bootstrap) != bootstrap:
        raise Refusal(f"bootstrap is {bootstrap}; it must be a whole number of 0 or more")
    if len(table):
        along(table, toward)


def _candidates(
    table: Runs,
    kinds: list[Any],
    below: np.ndarray,
    options: dict[str, Any],
    progress: Progress | None,
) -> tuple[list[_Candidate], dict[str, str]]:
    """Return the families that the runs fix, and those they do not, each with the reason."""

    def one(kind: Any) -> _Candidate | Refusal:
        try:
            return _judged(fit(table, kind, **options), below, options["seed"])
        except Refusal as refusal:
            return refusal

    found: list[_Candidate] = []
    aside: dict[str, str] = {}
    first: Refusal | None = None
    for done, kind in enumerate(kinds, 1):
        each = one(kind)
        if isinstance(each, Refusal):
            first = first or each
            aside[_name(kind)] = str(each)
        else:
            found.append(each._replace(name=_name(kind)))
        if progress is not None:
            progress(done, len(kinds))
    if not any(_freedom(each.fitted) for each in found):
        raise first or Refusal(f"{_name(kinds[0])} is a yardstick; give a family that predicts")
    return found, aside


def _judged(fitted: Fit, below: np.ndarray, seed: int) -> _Candidate:
    """Return a fit with its errors above each origin; NaN where an origin cannot judge."""
    problem, runs = fitted.problem, fitted.runs
    errors = np.full(below.shape, np.nan)
    sound = below.sum(axis=1) >= problem.chart.size + _SPARE
    if sound.any():
        with jax.enable_x64(True):
            predicted = predictions(problem, fitted.theta, below[sound], seed)
        with np.errstate(over="ignore"):
            errors[sound] = np.exp(predicted - np.log(runs.loss)) - 1
    errors[:, ~problem.counted] = np.nan
    # What is no number is no prediction, and as wrong as can be.
    errors[sound] = np.where(np.isnan(errors[sound]), np.inf, errors[sound])
    errors[below | ~problem.counted[None, :]] = np.nan
    return _Candidate("", fitted, errors)


def _freedom(fitted: Fit) -> float:
    """Return the runs per coefficient; none of what may not predict."""
    size = fitted.problem.chart.size
    return 0.0 if isinstance(fitted.law, YARDSTICKS) else fitted.n_runs / size


def _name(kind: Any) -> str:
    return (kind if isinstance(kind, type) else type(kind)).__name__.lower()
