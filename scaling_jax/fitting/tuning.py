"""Every number of the room that is a choice, in one place, with what it was chosen by.

Unless another is named, the benchmark is `benchmarks/fit_families.py`: eleven families on
four tables, ten seeds each, share of seeds at the best known objective and time.
"""

import dataclasses
import os

import jax


@dataclasses.dataclass(frozen=True)
class Tuning:
    """The choices behind a fit.

    Attributes:
        draws: quasi-random points at which a law of one's own is tried before any descent.
        effort: so many times the starts that a chart made by hand needs.
        scale_decades: levels that the loss is not linear in are drawn over 10^-x to 10^x, in
            units of the runs' geometric means.
        steepest: exponents of one's own laws end here, beyond which a term is a step; also
            what is told of any law (three times the steepest published one).
        lineages: of so many of the best, distinct ends each is restarted from resampled runs.
        restarts: so many a round and lineage.
        rounds: at most so many; they end when `enough` lineages agree.
        batches: where they do not, so many times the starts are drawn anew, at most.
        enough: starts that agree on the optimum; fewer are told of.
        short: steps on resampled runs, before the descent on the real ones.
        first_steps, again_steps: at most, of the starts and of those descents; the best end
            goes on until it is final.
        nudge: first threshold of Huber's function in those descents.
        same: objectives that differ by less than this share are one.
        nothing: residuals that are as good as zero.
        wide: first threshold far from the optimum, of which nearly every residual counts as
            small.
        many_runs, sample: above so many runs the starts see a sample of them, and the best
            ends then see all (`fit_speed.py`, 100,000 runs).
        finalists, thresholds, final_rounds: where the best end is not final, so many go on
            from so many first thresholds (240 simulated sets of few, noisy runs).
        wider: the second of two descents to a neighbouring optimum sees so much more as small.
        linear: objectives that differ by less than this share are as good as linear.
        off_bound: coordinates as near as this to a bound start off it.
        newton: lengths of Newton's step that are tried; the short ones stop at the first kinks
            of Huber's function, which the Hessian does not see (`fit_speed.py`).
        damping: of the damped step.
        shrink: of Huber's threshold, each step (`fit_speed.py`; .7 finds no more, slower).
        most_steps: of one descent.
        block: runs times lanes in one call on a CPU: its arrays stay in the cache, and XLA
            leaves them undivided, so that a block for each core keeps all busier than one
            divided block (`fit_speed.py`).
        most_lanes: in one call on a CPU.
        accelerator_lanes: in one call elsewhere.
        patience: a block stops when one in so many of its lanes is left moving.
    """

    draws: int = 4096
    effort: int = 2
    scale_decades: float = 3.0
    steepest: float = 5.0
    lineages: int = 16
    restarts: int = 4
    rounds: int = 8
    batches: int = 4
    enough: int = 3
    short: int = 10
    first_steps: int = 150
    again_steps: int = 80
    nudge: float = 0.03
    same: float = 1e-6
    nothing: float = 1e-12
    wide: float = 1.0
    many_runs: int = 2048
    sample: int = 1024
    finalists: int = 4
    thresholds: int = 8
    final_rounds: int = 3
    wider: float = 16.0
    linear: float = 1e-2
    off_bound: float = 0.05
    newton: tuple[float, ...] = (1.0, 0.3, 0.05, 0.005, 0.0005)
    damping: float = 0.1
    shrink: float = 0.5
    most_steps: int = 150
    block: int = 2**12
    most_lanes: int = 16
    accelerator_lanes: int = 2**12
    patience: int = 4


TUNING = Tuning()


def lanes_at_a_time(runs: int) -> int:
    """Return how many descents share a call on this machine."""
    if jax.default_backend() != "cpu":
        return TUNING.accelerator_lanes
    return max(1, min(TUNING.block // runs, TUNING.most_lanes))


def workers() -> int:
    """Return how many calls run side by side on this machine."""
    return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
