"""What `fit` returns."""

import dataclasses
from typing import Any, Literal

import numpy as np

from scaling_jax.fitting.problem import Problem
from scaling_jax.laws import Sourced, Valid
from scaling_jax.runs import Runs
from scaling_jax.solve import Status


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A law fitted to runs, and how far to trust it. Plain float64 values throughout.

    Attributes:
        law: the law at the global optimum.
        objective: the value of the objective there.
        n_runs: how many runs were fitted.
        residuals: prediction less measurement of each run.
        residual: of what: "log" losses, or each "loss" itself.
        status: `CONVERGED`, or `NOT_CONVERGED`.
        starts_converged: the share of the starts that ended at the optimum.
        intervals: coefficient -> (low, high) of its 95 % interval, by dotted path;
            percentiles of `laws` where there are any, else from the curvature.
        spectrum: the singular values, in falling order, of the runs' log losses with
            respect to the logarithms of the coefficients, N and D counted in their
            geometric means where the family takes up such units: small ones are
            combinations that the runs do not fix. Without `diagnose` it is empty, as the
            intervals are.
        warnings: what to beware of, in sentences.
        interval_warnings: those of them that are of the intervals alone.
        laws: the laws of the resampled runs, stacked along the first axis; None without
            `bootstrap`.
    """

    law: Any  # of the family that was fitted
    objective: float
    n_runs: int
    residuals: np.ndarray
    residual: Literal["log", "loss"]
    status: Status
    starts_converged: float
    intervals: dict[str, tuple[float, float]]
    spectrum: np.ndarray
    warnings: tuple[str, ...]
    interval_warnings: tuple[str, ...] = ()
    laws: Any = None
    problem: Problem = dataclasses.field(repr=False)
    theta: np.ndarray = dataclasses.field(repr=False)

    @property
    def runs(self) -> Runs:
        """The runs that were fitted."""
        return self.problem.runs

    @property
    def valid(self) -> Valid:
        """The ranges of the runs that were fitted, and of the axes that the law reads."""
        runs = self.runs.where(self.problem.counted)
        axes = {name: runs[name] for name in self.problem.data.points.axes}
        return Valid.of(runs.params, runs.tokens, **axes)

    @property
    def sourced(self) -> Sourced:
        """The law with where it comes from and holds: what `plan` takes and `save` keeps."""
        return Sourced(
            law=self.law,
            source=f"fitted to {self.n_runs} runs",
            valid=self.valid,
            resampled=self.laws,
            warnings=self.warnings,
        )

    @property
    def condition_number(self) -> float:
        """The largest of the spectrum over the smallest."""
        if not self.spectrum.size:
            return float("nan")
        smallest = self.spectrum[-1]
        return float(self.spectrum[0] / smallest) if smallest > 0 else float("inf")
