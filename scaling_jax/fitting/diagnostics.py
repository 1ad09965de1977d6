"""What to beware of in a fit, in sentences."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from scaling_jax._pytree import coefficients
from scaling_jax.fitting.charts import SMALLEST, is_positive
from scaling_jax.fitting.curvature import Curvature, bounds
from scaling_jax.fitting.optimum import Optimum, descend_again, scaled_residuals
from scaling_jax.fitting.problem import Problem
from scaling_jax.fitting.tuning import TUNING
from scaling_jax.laws import Law

# A standard error moves some coefficient by more than this factor's logarithm.
_FLAT = 0.5
# Above this condition number a combination of coefficients is rounding error.
_UNSEEN = 1e6
# A floor below this share of the smallest loss is at its bound, as is a number so near one.
_AT_BOUND = 1e-6
# An exponent below it is as good as none.
_NO_EXPONENT = 1e-3
# Components of the flattest direction that are named.
_TRADES = 0.3
# Runs that lie within this standard deviation of a line, in log params and log tokens.
_ON_A_LINE = 0.05
# One run moves an exponent by more than this share.
_DECIDES = 0.2
# Residuals above so many robust standard deviations.
_OUTLIER = 8.0
# With less freedom 95 % intervals from the curvature hold the truth less than 93 % of the time
# (`benchmarks/fit_coverage.py`: 84 % at 12 runs).
_FEW_FREE = 20
# So many resamples have one on either side of the middle 95 %.
_RESAMPLES = 40
# Leaving out is tried for so many runs, those of highest leverage; for fewer of very many.
_MOST_LEFT_OUT = 64
_LEFT_OUT_ROWS = 2**18


def warnings(problem: Problem, optimum: Optimum, law: Law, local: Curvature) -> tuple[str, ...]:
    """Return the warnings of a fit; call it under `jax.enable_x64(True)`."""
    return (
        *first_warnings(problem, optimum),
        *_bounds(problem, law),
        *_valley(problem, law, local),
        *_deciding_run(problem, optimum, law, local),
        *_rows(problem, optimum),
    )


def first_warnings(problem: Problem, optimum: Optimum) -> tuple[str, ...]:
    """Return those warnings of a fit that need no curvature and no other fit."""
    return (*_convergence(optimum), *_freedom(problem), *_line(problem))


def narrow_intervals(problem: Problem) -> tuple[str, ...]:
    """Return the warning of intervals that few runs make too narrow, if these are."""
    if not 1 <= problem.degrees_of_freedom < _FEW_FREE:
        return ()
    count = int(problem.counted.sum())
    return (
        f"With {count} runs the intervals, from the curvature at the optimum, tend to be too "
        "narrow; bootstrap for honest ones.",
    )


def few_resamples(count: int) -> tuple[str, ...]:
    """Return the warning of percentiles that so few resamples do not have, if they are few."""
    if count >= _RESAMPLES:
        return ()
    return (
        f"{count} resamples do not reach 95 % intervals, which are too narrow: take "
        f"{_RESAMPLES} at least, better 1,000.",
    )


def describe(problem: Problem, row: int) -> str:
    """Return which run a row is, counted from 1."""
    runs = problem.runs
    return (
        f"run {row + 1} of {len(runs)} ({runs.params[row]:.3g} params, "
        f"{runs.tokens_per_param[row]:.4g} tokens/param)"
    )


def _convergence(optimum: Optimum) -> Iterator[str]:
    if not optimum.converged:
        yield "The descent ended before the optimality conditions held: the law is not final."
    if optimum.agreeing < min(TUNING.enough, optimum.starts):
        yield (
            f"Only {optimum.starts_converged:.1%} of the starts reached the optimum; "
            "there may be a better one, so try more starts."
        )


def _freedom(problem: Problem) -> Iterator[str]:
    if problem.degrees_of_freedom < 1:
        yield "There are as many coefficients as runs: nothing is left to judge the law by."


def _line(problem: Problem) -> Iterator[str]:
    runs = problem.runs.where(problem.counted)
    ratio = np.log(runs.tokens_per_param)
    logs = np.log([runs.params, runs.tokens])
    across = np.linalg.svd(logs - logs.mean(axis=1, keepdims=True), compute_uv=False)[-1]
    if ratio.std() < _ON_A_LINE:
        yield (
            f"All runs lie on one tokens/param line (about {np.exp(ratio.mean()):.3g}): the "
            "effects of params and of tokens cannot be told apart."
        )
    elif across / np.sqrt(len(runs)) < _ON_A_LINE:
        yield (
            "All runs lie on one path, on which tokens are a power of params: the effects of "
            "params and of tokens cannot be told apart."
        )


def _bounds(problem: Problem, law: Law) -> Iterator[str]:
    chart, smallest = problem.chart, float(problem.runs.loss.min())
    extra = getattr(chart, "smallest", {})
    for name, value in coefficients(law).items():
        domain = chart.domains[name]
        if domain.role == "floor" and value < _AT_BOUND * smallest:
            yield f"{name} is at its bound of zero: the runs show no floor of the loss."
        elif domain.role == "exponent" and name in extra:
            if value < extra[name] * (1 + 1e-3):
                bound = f"{extra[name]:g}"
                yield f"{name} is at its bound of {bound}: one term rules at every run."
        elif domain.role == "exponent" and value < _NO_EXPONENT:
            yield f"{name} is nearly zero: the runs do not show its term."
        elif domain.role == "exponent" and value > TUNING.steepest * (1 - 1e-3):
            yield f"{name} has run away to {value:.3g}: only the smallest runs show its term."
        elif is_positive(domain) and not SMALLEST < value < 1 / SMALLEST:
            yield f"{name} has run away to {value:g}: the runs do not fix the law."
        for bound in bounds(domain):
            own = domain.role == "floor" or is_positive(domain)
            if not own and abs(value - bound) < _AT_BOUND * max(abs(bound), 1.0):
                yield f"{name} is at its bound of {bound:g}: the runs do not fix it."


def _valley(problem: Problem, law: Any, local: Curvature) -> Iterator[str]:
    weakest, strongest = local.spectrum[-1], local.spectrum[0]
    flat = local.noise > _FLAT * weakest or strongest > _UNSEEN * weakest
    if not flat or problem.degrees_of_freedom < 1:
        return
    direction = np.abs(local.directions[-1])
    names = [
        name
        for name, part in zip(problem.chart.names, direction, strict=True)
        if part > _TRADES * direction.max()
    ]
    values, least = coefficients(law), _AT_BOUND * problem.runs.loss.min()
    is_floor = problem.chart.domains[names[0]].role == "floor"
    if len(names) == 1 and is_floor and float(values[names[0]]) < least:
        return  # said of its bound already
    if len(names) == 1:
        yield f"The runs hardly fix {names[0]}: take its value as a guess."
    else:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        yield (
            f"The optimum lies in a flat valley: {listed} trade off against each other, so "
            "trust the law near its runs more than these coefficients."
        )


def _deciding_run(
    problem: Problem, optimum: Optimum, law: Law, local: Curvature
) -> Iterator[str]:
    if problem.degrees_of_freedom < 2:
        return
    rows, laws = leave_one_out(problem, optimum.theta, local.leverage)
    for name, domain in problem.chart.domains.items():
        if domain.role != "exponent":
            continue
        whole, without = float(coefficients(law)[name]), coefficients(laws)[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.nan_to_num(np.abs(np.log(without / whole)), nan=0.0, posinf=0.0)
        worst = int(np.argmax(shift))
        if shift[worst] > np.log1p(_DECIDES):
            yield (
                f"One run decides {name}: without {describe(problem, rows[worst])} it is "
                f"{without[worst]:.3g} instead of {whole:.3g}."
            )


def leave_one_out(
    problem: Problem, theta: np.ndarray, leverage: np.ndarray
) -> tuple[np.ndarray, Law]:
    """Return the runs left out, one at a time, and the laws without them."""
    data = problem.data
    most = int(np.clip(_LEFT_OUT_ROWS // len(data.target), 2, _MOST_LEFT_OUT))
    rows = np.sort(np.argsort(-leverage, kind="stable")[:most])
    count = len(rows)
    weight = np.ones((count, len(data.target)))
    weight[np.arange(count), rows] = 0.0
    target = np.broadcast_to(data.target, weight.shape)
    thetas = descend_again(problem, theta, target, weight)
    return rows, problem.laws(thetas)


def _rows(problem: Problem, optimum: Optimum) -> Iterator[str]:
    counted = np.flatnonzero(problem.counted)
    r = np.abs(scaled_residuals(problem, optimum.theta))[counted]
    limit = _OUTLIER * 1.4826 * float(np.median(r))
    far = np.flatnonzero((r > limit) & (r > 1e-6))
    if 0 < far.size <= len(counted) // 4:
        worst = int(counted[np.argmax(r)])
        yield (
            f"{far.size} of {len(counted)} runs lie far off the law, "
            f"{describe(problem, worst)} the farthest: check them."
        )
    runs = problem.runs.where(counted)
    read = ("params", "tokens", "loss", *problem.data.points.axes)
    table = np.stack([runs[name] for name in read])
    doubled = len(runs) - np.unique(table, axis=1).shape[1]
    if doubled:
        yield (
            f"{doubled} rows repeat another row exactly: they count double, and make the "
            "intervals too narrow."
        )
