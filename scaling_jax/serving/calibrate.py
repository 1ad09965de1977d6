"""Efficiencies fitted to measurements: shared by all chips, and each chip's departure."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.serving.efficiency import Efficiency
from scaling_jax.serving.measured import Measurements
from scaling_jax.serving.predict import blocks, predicted

# How far, in logarithms, a number may be from where it starts, and a chip's from that of all
# chips: one standard deviation of a normal prior. Absent: held. The bandwidth of weights is
# held: what is left of a step is overhead, and the two cannot be told apart by such tables.
PRIOR = {
    "kv_bandwidth": 0.2,
    "decode_mfu": 0.3,
    "prefill_mfu": 0.25,
    "eight_bit": 0.3,
    "four_bit": 0.4,
    "token_traffic": 0.7,
    "layer_seconds": 0.6,
    "step_seconds": 1.0,
    "sequence_seconds": 1.0,
    "expert_seconds": 1.0,
    "expert_layer_seconds": 1.0,
    "reduce_seconds": 0.7,
    "rank_seconds": 1.0,
    "link": 0.5,
    "cache_fill": 0.1,
    "reserved": 0.2,
    "max_batch": 0.5,
}
CHIP_PRIOR = {
    "kv_bandwidth": 0.07,
    "decode_mfu": 0.12,
    "prefill_mfu": 0.12,
    "token_traffic": 0.25,
    "layer_seconds": 0.25,
    "step_seconds": 0.3,
    "reduce_seconds": 0.3,
    "link": 0.3,
}
# One standard deviation of what the form itself misses, in logarithms; beyond it rows count
# less and less (pseudo-Huber).
NOISE = 0.12
_MAX_STEPS = 40
_TOLERANCE = 1e-6


class Calibration(NamedTuple):
    """What measurements say of efficiencies.

    Attributes:
        efficiency: of chips that were not measured.
        chips: of each chip that was.
        deviation: of each number of `efficiency` its standard deviation, in logarithms.
        error: log(predicted / measured) of each row; NaN where nothing is predicted.
        steps: of the fit.
    """

    efficiency: Efficiency
    chips: Mapping[str, Efficiency]
    deviation: Mapping[str, float]
    error: np.ndarray
    steps: int

    def predict(self, measured: Measurements) -> np.ndarray:
        """Return what is predicted for rows, those of other chips and models too.

        In SI units: tokens per second of all chips, seconds. NaN where nothing is predicted.
        """
        names = [
            self.chips.get(item.chip, self.efficiency)
            for item in measured.items
            if item is not None
        ]
        out = np.full(len(measured.items), np.nan)
        if not names:
            return out
        stacked = jax.tree.map(lambda *x: np.array(x, float), *names)
        place = np.cumsum(measured.usable) - 1
        for block in blocks(measured):
            own = jax.tree.map(lambda x, at=place[block.index]: x[at], stacked)
            out[block.index] = np.asarray(predicted(block, own))
        return out


def calibrate(
    measured: Measurements,
    *,
    start: Efficiency | None = None,
    prior: Mapping[str, float] = PRIOR,
    chip_prior: Mapping[str, float] = CHIP_PRIOR,
) -> Calibration:
    """Fit efficiencies to measured throughputs and latencies, robustly.

    The logarithm of each efficiency is that of all chips plus its chip's departure, both with
    normal priors, so that a chip with few rows stays near the others. The sum of pseudo-Huber
    losses of log(predicted / measured) and of the priors is minimised by damped Gauss-Newton
    steps with weights renewed at each.

    Args:
        measured: see `read_measured`; rows that are not understood are passed over.
        start: where to start, and the centre of the priors; a number that is zero stays so.
        prior: the standard deviation of each number around its start; absent ones are held.
        chip_prior: the same of each chip around all; {} gives one set for all chips.

    Raises:
        ValueError: no row can be used.
    """
    if not measured.usable.any():
        raise ValueError("no row is understood: see METRICS for the metrics that are")
    start = Efficiency() if start is None else start
    problem = _Problem.of(measured, start, prior, chip_prior)
    x, steps = _gauss_newton(problem.residuals, problem.unknowns)
    return problem.answer(x, steps, len(measured.items))


class _Problem(NamedTuple):
    """Unknowns in units of their priors: departures of all chips, then of each."""

    start: Efficiency
    names: tuple[str, ...]
    scale: np.ndarray
    chips: tuple[str, ...]
    chip_names: tuple[str, ...]
    chip_scale: np.ndarray
    blocks: list[Any]
    chip_of: list[np.ndarray]
    target: list[np.ndarray]

    @classmethod
    def of(
        cls,
        measured: Measurements,
        start: Efficiency,
        prior: Mapping[str, float],
        chip_prior: Mapping[str, float],
    ) -> "_Problem":
        names = tuple(name for name in prior if float(getattr(start, name)) > 0)
        chip_names = tuple(name for name in chip_prior if name in names)
        found = blocks(measured)
        items = measured.items
        used = sorted({item.chip for item in items if item is not None})
        return cls(
            start=start,
            names=names,
            scale=np.array([prior[name] for name in names]),
            chips=tuple(used),
            chip_names=chip_names,
            chip_scale=np.array([chip_prior[name] for name in chip_names]),
            blocks=found,
            chip_of=[np.array([used.index(items[i].chip) for i in b.index]) for b in found],
            target=[np.log([items[i].value for i in b.index]) for b in found],
        )

    @property
    def unknowns(self) -> int:
        return len(self.names) + len(self.chips) * len(self.chip_names)

    def logs(self, x: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the departures of all chips, and of each chip [chips], in logarithms."""
        shared = dict(zip(self.names, x[: len(self.names)] * self.scale, strict=True))
        table = x[len(self.names) :].reshape(len(self.chip_names), len(self.chips))
        own = dict(zip(self.chip_names, table * self.chip_scale[:, None], strict=True))
        return shared, own

    def efficiency(self, x: Any, chip: Any) -> Efficiency:
        """Return the efficiency of a chip, or of each of an array of chips; None: of all."""
        shared, own = self.logs(x)
        values = {}
        for name, value in vars(self.start).items():
            log = shared.get(name, 0.0)
            if chip is not None and name in own:
                log = log + own[name][chip]
            values[name] = value * jnp.exp(log) + (
                0.0 if chip is None else jnp.zeros(np.shape(chip))
            )
        return Efficiency(**values)

    def residuals(self, x: Any) -> jax.Array:
        """Return log(predicted / measured) of all rows, block by block."""
        parts = [
            jnp.log(predicted(block, self.efficiency(x, chip))) - target
            for block, chip, target in zip(self.blocks, self.chip_of, self.target, strict=True)
        ]
        return jnp.concatenate(parts)

    def answer(self, x: np.ndarray, steps: int, rows: int) -> Calibration:
        """Return the calibration at a solution."""
        error = np.full(rows, np.nan)
        index = np.concatenate([block.index for block in self.blocks])
        error[index] = np.asarray(self.residuals(x))
        jacobian = np.asarray(jax.jacfwd(self.residuals)(x)) / NOISE
        weight = _weights(error[index])
        curvature = (jacobian.T * weight) @ jacobian + np.eye(len(x))
        sd = np.sqrt(np.diag(np.linalg.inv(curvature)))[: len(self.names)] * self.scale
        as_floats = lambda record: jax.tree.map(float, record)  # noqa: E731
        return Calibration(
            efficiency=as_floats(self.efficiency(x, None)),
            chips={name: as_floats(self.efficiency(x, i)) for i, name in enumerate(self.chips)},
            deviation=dict(zip(self.names, sd.tolist(), strict=True)),
            error=error,
            steps=steps,
        )


def _weights(residuals: np.ndarray) -> np.ndarray:
    """Return the weights of least squares that has the pseudo-Huber loss's gradient."""
    return 1 / np.sqrt(1 + (residuals / NOISE) ** 2)


def _objective(residuals: np.ndarray, x: np.ndarray) -> float:
    rows = np.sqrt(1 + (residuals / NOISE) ** 2) - 1
    return float(rows.sum() + 0.5 * x @ x)


def _gauss_newton(
    residuals: Callable[[Any], jax.Array], unknowns: int
) -> tuple[np.ndarray, int]:
    """Minimise pseudo-Huber losses and a unit normal prior, from 0; return x and steps taken.

    Levenberg's damping: a step that does not lower the objective is tried again shorter.
    """
    value = jax.jit(residuals)
    slopes = jax.jit(jax.jacfwd(residuals))
    x, damping = np.zeros(unknowns), 1e-3
    r = np.asarray(value(x))
    best = _objective(r, x)
    for step in range(_MAX_STEPS):
        jacobian = np.asarray(slopes(x)) / NOISE
        weighted = jacobian.T * _weights(r)
        gradient = weighted @ (r / NOISE) + x
        hessian = weighted @ jacobian + np.eye(unknowns)
        gain = 0.0
        while damping < 1e8:
            move = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
            trial = np.asarray(value(x - move))
            new = _objective(trial, x - move)
            if new < best:
                gain, best, x, r = best - new, new, x - move, trial
                damping /= 5
                break
            damping *= 5
        if gain < _TOLERANCE * (1 + best):
            return x, step + 1
    return x, _MAX_STEPS
