"""The mixture of a comparison, as a law with where it comes from and how sure it is."""

import jax
import numpy as np

from scaling_jax.comparing import stacking
from scaling_jax.comparing.records import Member
from scaling_jax.fitting.resampling import resampled_laws
from scaling_jax.laws import Mixture, Sourced, Valid

_ENOUGH = 100  # resamples of a family that is drawn less often


def mixed(
    members: tuple[Member, ...], bootstrap: int, seed: int
) -> tuple[Sourced, tuple[str, ...]]:
    """Return the mixture of the members that have a weight, and what to beware of.

    Its resampled laws are mixtures of the same members, in which one family has all of the
    weight: a family is drawn with its chances, and a law of it, fitted to resampled runs. So
    their spread holds both the noise and the doubt about the family, and grows as families
    part beyond the runs. Only as many resamples of a family are fitted as it is drawn, and a
    hundred for its own intervals.
    """
    within = [each for each in members if each.weight > 0]
    warnings = _warnings(members, within)
    first = within[0].fitted
    weights = tuple(each.weight for each in within)
    valid = first.valid
    axes = {name: pair for each in within for name, pair in each.fitted.valid.axes.items()}
    sourced = Sourced(
        law=Mixture(laws=tuple(each.fitted.law for each in within), weights=weights),
        source=f"{len(within)} families fitted to {first.n_runs} runs",
        valid=Valid(*valid[:-1], axes=axes),
        resampled=_resampled(within, bootstrap, seed) if bootstrap else None,
        warnings=warnings,
    )
    return sourced, warnings


def _resampled(within: list[Member], count: int, seed: int) -> Mixture:
    errors = np.array([each.errors for each in within])
    chosen = stacking.drawn(errors, count, np.random.default_rng([seed, 3]))
    laws = []
    for row, each in enumerate(within):
        own = np.flatnonzero(chosen == row)
        many = max(len(own), min(count, _ENOUGH))
        # A draw of another family's has one of this family's laws, of which it makes nothing.
        place = np.arange(count) % many
        place[own] = np.arange(len(own))
        problem, theta = each.fitted.problem, each.fitted.theta
        with jax.enable_x64(True):
            resampled = resampled_laws(problem, theta, many, seed, "residuals")
        laws.append(jax.tree.map(lambda leaf, place=place: np.asarray(leaf)[place], resampled))
    shares = (chosen[:, None] == np.arange(len(within))).astype(float)
    return Mixture(laws=tuple(laws), weights=tuple(shares.T))


def _warnings(members: tuple[Member, ...], within: list[Member]) -> tuple[str, ...]:
    # What every family's fit says is of the runs, not of the family.
    shared = [
        text
        for text in within[0].fitted.warnings
        if all(text in each.fitted.warnings for each in within)
    ]
    if len(within[0].errors) == 0:
        shared.append(
            "There are too few runs to hold some out: the families count alike, whichever "
            "would predict."
        )
    tested = [each for each in within if np.isfinite(each.misfit.p_value)]
    if tested and all(each.rejected for each in tested):
        shared.append(
            "The runs follow none of the families in the mixture; beyond them it is a guess."
        )
    return tuple(dict.fromkeys(shared))
