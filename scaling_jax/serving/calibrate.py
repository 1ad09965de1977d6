"""Efficiencies fitted to measurements: shared by all chips, and each chip's departure."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.serving.efficiency import Efficiency
from scaling_jax.serving.measured import Measurements
from scaling_jax.serving.predict import Block, blocks, predicted

# How far, in logarithms, a number may be from where it starts, and a chip's from that of all
# chips: one standard deviation of a normal prior. Absent: held. The bandwidth of weights is
# held: what is left of a step is overhead, and the two cannot be told apart by such tables.
PRIOR = {
    "kv_bandwidth": 0.2,
    "decode_mfu": 0.08,
    "prefill_mfu": 0.08,
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
    "cache_fill": 0.03,
    "reserved": 0.2,
    "max_batch": 0.5,
}
CHIP_PRIOR = {
    "kv_bandwidth": 0.07,
    "decode_mfu": 0.06,
    "prefill_mfu": 0.06,
    "token_traffic": 0.25,
    "layer_seconds": 0.25,
    "step_seconds": 0.3,
    "reduce_seconds": 0.3,
    "link": 0.3,
}
# Round numbers from before any fit (arXiv 2506.04645; vidur; nccl-tests; what matrix products
# alone reach in stas00/ml-engineering), the centre of the priors.
GUESS = Efficiency(
    bandwidth=0.87,
    kv_bandwidth=0.85,
    decode_mfu=0.65,
    prefill_mfu=0.65,
    eight_bit=0.8,
    four_bit=0.6,
    token_traffic=20.0,
    layer_seconds=45e-6,
    step_seconds=5e-4,
    sequence_seconds=1e-5,
    expert_seconds=1e-6,
    expert_layer_seconds=3e-5,
    reduce_seconds=8e-6,
    rank_seconds=1e-6,
    link=0.5,
    memory=0.92,
    chip_bytes=1.5e9,
    cache_fill=0.95,
    reserved=0.8,
    max_batch=2048.0,
)
# One standard deviation of what the form itself misses, in logarithms; beyond it rows count
# less and less (pseudo-Huber).
NOISE = 0.12
_MAX_STEPS = 40
_TOLERANCE = 1e-6
_MOST_DAMPING = 1e8


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
            own = jax.tree.map(lambda x, at=place[block.rows]: x[at], stacked)
            out[block.rows] = np.asarray(predicted(block, own))
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
        start: where to start, and the centre of the priors (GUESS unless it is given); a number
            that is zero stays so.
        prior: the standard deviation of each number around its start; absent ones are held.
        chip_prior: the same of each chip around all; {} gives one set for all chips.

    Raises:
        ValueError: no row can be used.
    """
    if not measured.usable.any():
        raise ValueError("no row is understood: see METRICS for the metrics that are")
    start = GUESS if start is None else start
    problem = _Problem.of(measured, start, prior, chip_prior)
    return _fit(problem, np.ones(len(measured.items)))


def held_out(
    measured: Measurements,
    *,
    parts: int = 3,
    seed: int = 0,
    start: Efficiency | None = None,
    prior: Mapping[str, float] = PRIOR,
    chip_prior: Mapping[str, float] = CHIP_PRIOR,
) -> np.ndarray:
    """Return log(predicted / measured) of each row, by a fit to the other models' rows.

    The models are dealt into `parts`, and each part is predicted from the rest. NaN where
    nothing is predicted.
    """
    problem = _Problem.of(measured, start or GUESS, prior, chip_prior)
    names = measured.column("model")
    models = sorted(set(names[measured.usable]))
    np.random.default_rng(seed).shuffle(models)
    error = np.full(len(names), np.nan)
    for part in range(parts):
        left_out = np.isin(names, models[part::parts])
        error[left_out] = _fit(problem, 1.0 - left_out).error[left_out]
    return error


class _Problem(NamedTuple):
    """Unknowns in units of their priors: departures of all chips, then of each.

    Attributes:
        start: the centre of the priors.
        names, scale: what is fitted, and its standard deviations.
        chips: that were measured; `departs` are the names of what may differ by chip.
        blocks: rows by structure; `chip_of[row]` and `target[row]` are in their order.
        design: [unknowns, names, chips]: what a unit of an unknown adds to a logarithm.
    """

    start: Efficiency
    names: tuple[str, ...]
    scale: np.ndarray
    chips: tuple[str, ...]
    blocks: list[Block]
    rows: np.ndarray
    chip_of: np.ndarray
    target: np.ndarray
    design: np.ndarray

    @classmethod
    def of(
        cls,
        measured: Measurements,
        start: Efficiency,
        prior: Mapping[str, float],
        chip_prior: Mapping[str, float],
    ) -> "_Problem":
        """Return the problem of a table."""
        names = tuple(name for name in prior if float(getattr(start, name)) > 0)
        found = blocks(measured)
        index = np.concatenate([block.rows for block in found])
        items = [item for i in index if (item := measured.items[i]) is not None]
        chips = tuple(sorted({item.chip for item in items}))
        design = [
            np.outer(np.arange(len(names)) == i, np.full(len(chips), prior[name]))
            for i, name in enumerate(names)
        ]
        for i, name in enumerate(names):
            for j in range(len(chips) if name in chip_prior else 0):
                one = np.zeros((len(names), len(chips)))
                one[i, j] = chip_prior[name]
                design.append(one)
        return cls(
            start=start,
            names=names,
            scale=np.array([prior[name] for name in names]),
            chips=chips,
            blocks=found,
            rows=index,
            chip_of=np.array([chips.index(item.chip) for item in items]),
            target=np.log([item.value for item in items]),
            design=np.stack(design),
        )

    def residuals(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log(predicted / measured) [rows], and its Jacobian [rows, unknowns]."""
        logs = np.tensordot(x, self.design, 1)[:, self.chip_of]
        values, slopes, at = [], [], 0
        for block in self.blocks:
            rows = slice(at, at := at + len(block.rows))
            value, slope = _value_and_slopes(block, self.start, self.names, logs[:, rows])
            values.append(np.asarray(value))
            slopes.append(np.asarray(slope))
        slope = np.concatenate(slopes, axis=1)  # [names, rows]
        jacobian = np.einsum("unr,nr->ru", self.design[:, :, self.chip_of], slope)
        return np.concatenate(values) - self.target, jacobian

    def efficiency(self, x: np.ndarray, chip: int | None) -> Efficiency:
        """Return the efficiency of a chip; None: of one that was not measured."""
        if chip is None:
            logs = x[: len(self.names)] * self.scale
        else:
            logs = np.tensordot(x, self.design, 1)[:, chip]
        values = {
            name: float(getattr(self.start, name) * np.exp(log))
            for name, log in zip(self.names, logs, strict=True)
        }
        return dataclasses.replace(self.start, **values)

    def answer(self, x: np.ndarray, steps: int, weight: np.ndarray) -> Calibration:
        """Return the calibration at a solution; `weight` is of each row of the table."""
        residuals, jacobian = self.residuals(x)
        error = np.full(len(weight), np.nan)
        error[self.rows] = residuals
        use = _weights(residuals) * weight[self.rows] / NOISE**2
        curvature = (jacobian.T * use) @ jacobian + np.eye(len(x))
        sd = np.sqrt(np.diag(np.linalg.inv(curvature)))[: len(self.names)] * self.scale
        return Calibration(
            efficiency=self.efficiency(x, None),
            chips={name: self.efficiency(x, i) for i, name in enumerate(self.chips)},
            deviation=dict(zip(self.names, sd.tolist(), strict=True)),
            error=error,
            steps=steps,
        )


@functools.partial(jax.jit, static_argnames="names")
def _value_and_slopes(
    block: Block, start: Efficiency, names: tuple[str, ...], logs: Any
) -> tuple[jax.Array, jax.Array]:
    """Return log(predicted) of rows, and its slope in each logarithm [names, rows]."""

    def log_predicted(logs: jax.Array) -> jax.Array:
        moved = {
            name: getattr(start, name) * jnp.exp(log)
            for name, log in zip(names, logs, strict=True)
        }
        rows = jax.tree.map(lambda x: x + jnp.zeros(logs.shape[1]), start)
        return jnp.log(predicted(block, dataclasses.replace(rows, **moved)))

    # A row depends on its own logarithms alone, so that one tangent serves all rows.
    units = jnp.eye(len(names), dtype=logs.dtype)[:, :, None] + 0 * logs[None]
    value, slope_of = jax.linearize(log_predicted, logs)
    return value, jax.vmap(slope_of)(units)


def _weights(residuals: np.ndarray) -> np.ndarray:
    """Return the weights of least squares that has the pseudo-Huber loss's gradient."""
    return 1 / np.sqrt(1 + (residuals / NOISE) ** 2)


def _fit(problem: _Problem, weight: np.ndarray) -> Calibration:
    """Minimise pseudo-Huber losses and the priors by damped Gauss-Newton steps.

    A step that does not lower the objective is tried again shorter (Levenberg's damping).
    """
    use = weight[problem.rows]

    def objective(x: np.ndarray, r: np.ndarray) -> float:
        return float(use @ (np.sqrt(1 + (r / NOISE) ** 2) - 1) + 0.5 * x @ x)

    x, damping = np.zeros(len(problem.design)), 1e-3
    r, jacobian = problem.residuals(x)
    best = objective(x, r)
    for step in range(_MAX_STEPS):
        weighted = jacobian.T * (_weights(r) * use / NOISE**2)
        gradient = weighted @ r + x
        hessian = weighted @ jacobian + np.eye(len(x))
        gain, trial, found = 0.0, x, (r, jacobian)
        while not gain and damping < _MOST_DAMPING:
            shortened = hessian + damping * np.diag(np.diag(hessian))
            trial = x - np.linalg.solve(shortened, gradient)
            found = problem.residuals(trial)
            gain = max(best - objective(trial, found[0]), 0.0)
            damping = damping / 5 if gain else damping * 5
        if gain:
            x, (r, jacobian), best = trial, found, best - gain
        if gain < _TOLERANCE * (1 + best):
            return problem.answer(x, step + 1, weight)
    return problem.answer(x, _MAX_STEPS, weight)
