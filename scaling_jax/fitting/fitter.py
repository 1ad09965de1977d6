"""`fit`: the law behind training runs, and how far to trust it."""

from numbers import Integral
from typing import Any

import jax
import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax._pytree import coefficients
from scaling_jax.fitting import curvature as local_curvature
from scaling_jax.fitting import diagnostics
from scaling_jax.fitting.descent import Progress
from scaling_jax.fitting.objective import Residual
from scaling_jax.fitting.optimum import find_optimum, scaled_residuals
from scaling_jax.fitting.problem import prepare, template_of
from scaling_jax.fitting.records import Fit
from scaling_jax.fitting.resampling import Resample, resampled_laws
from scaling_jax.laws import Chinchilla, Law
from scaling_jax.runs import Runs, read_runs
from scaling_jax.solve import Status

# The paper's threshold (Sardana et al. 2024, section 5; Hoffmann et al. 2022, section D.2).
DELTA = 1e-3


def fit(
    runs: Runs | Any,
    family: type[Law] | Law = Chinchilla,
    *,
    delta: float | None = DELTA,
    residual: Residual = "log",
    bootstrap: int = 0,
    resample: Resample = "residuals",
    starts: int = 32,
    restarts: int = 32,
    seed: int = 0,
    diagnose: bool = True,
    progress: Progress | None = None,
) -> Fit:
    """Return the law of a family that training runs follow: the global optimum.

        min over laws of  sum_i w_i Huber_delta(c_i (log law(N_i, D_i) - log L_i))

    Many starts, drawn over all plausible laws, descend together in one compiled program. The
    exponents of any law but those four whose charts are made by hand (`Chinchilla`, `Tied`,
    `Coupled`, `Kaplan`) are looked for up to 5, beyond which a term is a step.
    The computation is in 64-bit whatever `jax_enable_x64` says; the answer is plain float64.

    Args:
        runs: `Runs`, or anything that `read_runs` reads.
        family: any family of `laws.FAMILIES`, or a `Law` of your own. The axes that its
            `loss` names are columns of the runs. A law in place of a family says of which
            laws it is made, where that is open (a `Mixture`), and is one more start; a base
            law that a family leaves open is `Chinchilla`.
        delta: Huber's threshold, in log loss (in loss for residual "loss"); None for
            squared error.
        residual: compare "log" losses, as the paper does, or each "loss" itself.
        bootstrap: how many resamples to refit, for `laws` and for intervals.
        resample: what a resample draws anew: "residuals" keeps every run in its place and
            holds for few runs; "runs" (or their groups) also holds where some runs are
            noisier than others, and needs many.
        starts: how many descents; twice as many for a law without a chart made by hand, the
            best of 4,096 points at which its linear coefficients are fitted. Where fewer
            than three agree the best go on from resampled runs, until three do.
        restarts: for at most so many rounds, the starts drawn anew after every eighth; fewer
            are faster and less sure.
        seed: of the starts and the resamples; the same seed gives the same answer.
        diagnose: False leaves out the spectrum, intervals from the curvature, and all
            warnings but those of the runs and of convergence: much faster.
        progress: called as progress(resamples done, resamples in all) every so often.

    Raises:
        ValueError: the runs cannot fix the coefficients, or an option is wrong.

    Source: Sardana et al. 2024 (arXiv 2401.00448), equation 4.

    Example:
        >>> from scaling_jax.laws import HOFFMANN_2022
        >>> params = np.repeat([1e8, 1e9, 1e10], 3)
        >>> tokens = params * np.tile([10.0, 50.0, 250.0], 3)
        >>> loss = HOFFMANN_2022(params, tokens)
        >>> fitted = fit({"params": params, "tokens": tokens, "loss": loss})
        >>> print(f"E = {fitted.law.E:.3f}, alpha = {fitted.law.alpha:.3f}")
        E = 1.690, alpha = 0.336
    """
    guess = family if isinstance(family, Law) else None
    template = template_of(family)
    _check_options(starts, restarts, bootstrap, seed, resample)
    with jax.enable_x64(True):
        table = read_runs(runs)
        problem = prepare(table, template, delta, residual)
        optimum = find_optimum(problem, starts, seed, guess, restarts)
        theta = optimum.theta
        law = jax.tree.map(lambda leaf: float(leaf[0]), problem.laws(theta[None, :]))
        local, notes = None, diagnostics.first_warnings(problem, optimum)
        if diagnose:
            local = local_curvature.curvature(problem, theta)
            notes = diagnostics.warnings(problem, optimum, law, local)
        if bootstrap:
            laws = resampled_laws(problem, theta, bootstrap, seed, resample, progress)
            intervals = _percentiles(laws)
            beside = diagnostics.few_resamples(bootstrap)
        elif local is not None:
            laws = None
            intervals = local_curvature.intervals(problem, theta, local.noise)
            beside = diagnostics.narrow_intervals(problem)
        else:
            laws, intervals, beside = None, {}, ()
        scaled = scaled_residuals(problem, theta)
    return Fit(
        law=law,
        objective=optimum.objective,
        n_runs=int(problem.counted.sum()),
        residuals=scaled / problem.data.precision[: len(table)],
        residual=residual,
        status=Status.CONVERGED if optimum.converged else Status.NOT_CONVERGED,
        starts_converged=optimum.starts_converged,
        intervals=intervals,
        spectrum=np.zeros(0) if local is None else local.spectrum,
        warnings=notes + beside,
        interval_warnings=beside,
        laws=laws,
        problem=problem,
        theta=theta,
    )


def _check_options(
    starts: int, restarts: int, bootstrap: int, seed: int, resample: Resample
) -> None:
    whole = {
        "starts": (starts, 1),
        "restarts": (restarts, 0),
        "bootstrap": (bootstrap, 0),
        "seed": (seed, 0),
    }
    for name, (value, least) in whole.items():
        if not isinstance(value, Integral) or value < least:
            raise Refusal(f"{name} is {value}; it must be a whole number of {least} or more")
    if resample not in ("residuals", "runs"):
        raise Refusal(f"resample is {resample!r}; it must be 'residuals' or 'runs'")


def _percentiles(laws: Law) -> dict[str, tuple[float, float]]:
    return {
        name: (
            float(np.quantile(values, 0.025, method="lower")),
            float(np.quantile(values, 0.975, method="higher")),
        )
        for name, values in coefficients(laws).items()
    }
