"""What `compare` returns."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax.comparing.misfit import Misfit
from scaling_jax.fitting.records import Fit
from scaling_jax.laws import Sourced

# A family that follows the runs is rejected so often.
LEVEL = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One family of a comparison.

    Attributes:
        name: of the family, in lower case.
        fitted: its fit to all runs, without intervals: `fit` of the family has them.
        misfit: the test of whether the runs follow it.
        errors: prediction / measurement - 1 of every run above each origin, [origins, n]; NaN
            below, and where so few runs do not fix the family.
        weight: its share of the mixture.
    """

    name: str
    fitted: Fit
    misfit: Misfit
    errors: np.ndarray
    weight: float

    @property
    def holdout_error(self) -> float:
        """The mean absolute error of what was held out, every origin counting the same."""
        return _over_origins(np.abs(self.errors))

    @property
    def holdout_bias(self) -> float:
        """The mean signed error; negative where losses are predicted too low."""
        return _over_origins(self.errors)

    @property
    def rejected(self) -> bool:
        """Whether the runs do not follow the family, by a test at 5 %."""
        return self.misfit.p_value < LEVEL


def _over_origins(errors: np.ndarray) -> float:
    """Return the mean of the origins' means; infinite or NaN where a prediction is."""
    above = ~np.isnan(errors).all(axis=1)
    return float(np.mean([np.nanmean(row) for row in errors[above]])) if above.any() else np.nan


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Families side by side, and what to believe if none is right.

    Attributes:
        members: the families that the runs fix, the best predictor first.
        aside: families that the runs do not fix, each with the reason.
        toward: the direction in which runs were held out.
        below: which runs were fitted at each origin, [origins, n].
        mixture: the weighted mean of the families' laws, with its resampled laws where there
            are any: what `plan`, `decide` and `intervals` take.
        warnings: what to beware of, in sentences.
    """

    members: tuple[Member, ...]
    aside: Mapping[str, str]
    toward: Any
    below: np.ndarray
    mixture: Sourced
    warnings: tuple[str, ...]

    def __getitem__(self, name: str) -> Member:
        """Return a family by its name, in any case.

        Raises:
            ValueError: it is not among the members; the sentence names those that are.
        """
        for each in self.members:
            if each.name == name.lower():
                return each
        known = ", ".join(each.name for each in self.members)
        raise Refusal(f"no family {name!r} was compared; those compared are {known}")

    @property
    def weights(self) -> dict[str, float]:
        """The shares of the mixture, the largest first; families without one are left out."""
        shares = {each.name: each.weight for each in self.members if each.weight > 0}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    @property
    def rejected(self) -> tuple[str, ...]:
        """The families that the runs do not follow."""
        return tuple(each.name for each in self.members if each.rejected)

    @property
    def summary(self) -> str:
        """Two sentences for people: which family and why, and whether any fits."""
        return f"{self._which()} {self._whether()}"

    def __str__(self) -> str:
        """Return the summary."""
        return self.summary

    def _which(self) -> str:
        weights = self.weights
        first = next(iter(weights))
        best = self[first]
        others = len(weights) - 1
        shared = f", with {others} other famil{'ies' if others > 1 else 'y'} beside it"
        if not len(self.below):
            return (
                "There are too few runs to hold some out, so that "
                f"{' and '.join(weights)} count alike."
            )
        return (
            f"{first} leads with {best.weight:.0%} of the mixture{shared if others else ''}: "
            f"held-out runs further in {_words(self.toward)} it predicts to within "
            f"{best.holdout_error:.2%}{self._against(first)}."
        )

    def _against(self, first: str) -> str:
        usual = next((each for each in self.members if each.name == "chinchilla"), None)
        if usual is None or first == "chinchilla":
            return ""
        return f", chinchilla to within {usual.holdout_error:.2%}"

    def _whether(self) -> str:
        tested = [each for each in self.members if np.isfinite(each.misfit.p_value)]
        rejected = [each for each in tested if each.rejected]
        if not tested:
            return "None can be tested: each bends as freely as the test."
        if not rejected:
            return f"The runs reject none of the {len(tested)} families that can be tested."
        if len(rejected) == len(tested):
            return (
                f"The runs follow none of the {len(tested)} families that can be tested: each "
                "leaves a curvature that noise does not explain."
            )
        named = ", ".join(f"{each.name} (p = {each.misfit.p_value:.2g})" for each in rejected)
        return (
            f"The runs reject {len(rejected)} of the {len(tested)} families that can be "
            f"tested: {named}."
        )


def _words(toward: Any) -> str:
    if isinstance(toward, str):
        known = {
            "tokens_per_param": "tokens/param",
            "train_flops": "training FLOPs",
            "corner": "params and tokens/param",
        }
        return known.get(toward, toward)
    return f"the direction of {toward[0]:.3g} params and {toward[1]:.3g} tokens"
