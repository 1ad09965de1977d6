"""`train`: one run, from a configuration and a corpus to its record, whatever interrupts it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax.training.checking import check_run
from scaling_jax.training.checkpoints import Checkpoints
from scaling_jax.training.config import RunConfig
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.heldout import heldout_loss, padded
from scaling_jax.training.interrupts import held_back
from scaling_jax.training.loading import batches
from scaling_jax.training.locking import claim, claimed
from scaling_jax.training.mesh import check_batch, make_mesh, to_devices
from scaling_jax.training.metrics import MetricsFile
from scaling_jax.training.peak import matmul_peak
from scaling_jax.training.processes import as_lead, is_lead, together
from scaling_jax.training.programs import programs
from scaling_jax.training.run_record import RunRecord, facts
from scaling_jax.training.step import Metrics, State, smoothed


class Progress(NamedTuple):
    """Where a run is: what a progress bar shows."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    mfu: float


def train(
    config: RunConfig,
    corpus: Corpus,
    out: str | Path,
    *,
    fsdp: int = 1,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[Progress], None] | None = None,
) -> RunRecord:
    """Train one model and return its record; started again after a kill, it goes on.

    The folder holds `run.json` (the configuration), `metrics.jsonl` (a line a call),
    `checkpoints/` and, at the end, `record.json`. A resumed run ends with the same bits as an
    uninterrupted one: parameters, optimiser, data and metrics (but for their seconds).

    Args:
        config: what to train.
        corpus: on what; `prepare` makes it.
        out: the run's folder. A finished run is returned as it is.
        fsdp: devices that share one copy of the parameters; the others split the batch.
        checkpoint_seconds: least time between two checkpoints.
        progress: called with a `Progress` after each compiled call.

    Returns:
        The record, whose status is "diverged" if a loss was not finite.

    Raises:
        ValueError: the corpus is too small for one epoch or its held-out side for one window,
            the vocabulary too small for the corpus, the folder holds another run, or a
            checkpoint cannot be read.
        OSError: a file could not be written, for instance on a full disk; what was
            checkpointed is kept.
        KeyboardInterrupt: there was a Ctrl-C; what was trained by then is saved. A second one
            does not wait for that.
    """
    out = Path(out)
    if as_lead((out / "record.json").exists()):
        with together():
            claim(out, config, corpus)
            return RunRecord.read(out / "record.json")
    check_run(config, corpus)
    mesh = make_mesh(fsdp)
    check_batch(mesh, config.batch, config.accumulate)
    with claimed(out, config, corpus), jax.set_mesh(mesh):
        end = _Run(config, corpus, out, mesh, checkpoint_seconds, progress).go()
        record = _record(config, corpus, end)
        with together():
            if is_lead():
                record.write(out / "record.json")
    return record


class _End(NamedTuple):
    """How a run came to its end: after how many steps, and at a loss that was finite or not."""

    steps: int
    loss: float
    train_loss: float
    heldout_tokens: int
    seconds: float
    last_checkpoint: int | None


class _DivergedError(Exception):
    """The loss of a step, counted from 1, was not finite; the held-out one follows the last."""

    def __init__(self, step: int) -> None:
        self.step = step


class _Run:
    """The loop. Metrics are read one call late, so that devices never wait for Python."""

    def __init__(
        self, config: RunConfig, corpus: Corpus, out: Path, mesh: Any,
        checkpoint_seconds: float, progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self.config, self.corpus, self.mesh = config, corpus, mesh
        self.out, self.progress = out, progress
        self.checkpoint_seconds = checkpoint_seconds
        self.programs = programs(
            config.shape, config.options, config.recipe, config.accumulate, mesh
        )
        self.peak = matmul_peak(config.options.dtype) * mesh.size

    def go(self) -> _End:
        """Train to the end, or to the first loss that is not finite."""
        checkpoints = Checkpoints(self.out / "checkpoints")
        try:
            state = checkpoints.latest(self.programs.like)
            if state is None:
                state = self.programs.start(self.config.seed)
            # Every process keeps its own; the lead's is the run's.
            name = "metrics.jsonl" if is_lead() else f"metrics.{jax.process_index()}.jsonl"
            with together():
                log = MetricsFile(self.out / name, after=int(state.step))
            try:
                with held_back() as interrupted:
                    state = self._loop(state, log, checkpoints, interrupted)
                loss, tokens = self._heldout(state)
            except _DivergedError as diverged:
                return self._diverged(diverged.step, log, checkpoints)
            finally:
                log.close()
            steps = self.config.steps
            train_loss = float(smoothed(state.recent, steps))
            return _End(steps, loss, train_loss, tokens, log.seconds, None)
        finally:
            checkpoints.close()

    def _diverged(self, step: int, log: MetricsFile, checkpoints: Checkpoints) -> _End:
        # A checkpoint is good where the step after it had a finite loss.
        good = [each for each in checkpoints.steps if each < step - 1]
        return _End(
            steps=min(step, self.config.steps),
            loss=np.nan,
            train_loss=np.nan,
            heldout_tokens=0,
            seconds=log.seconds,
            last_checkpoint=good[-1] if good else None,
        )

    def _loop(
        self, state: State, log: MetricsFile, checkpoints: Checkpoints,
        interrupted: Callable[[], bool],
    ) -> State:  # fmt: skip
        """Return the last state; the lead's clock and its Ctrl-C decide for every process."""
        config, per_call = self.config, self.config.steps_per_call
        done = int(state.step)
        data = batches(
            self.corpus, length=config.length, batch=config.batch, seed=config.seed,
            process_index=jax.process_index(), process_count=jax.process_count(),
        )  # fmt: skip
        saved_at = time.monotonic()
        late: tuple[int, int, Metrics] | None = None
        for windows in data.chunks(per_call, start=done, stop=config.steps):
            count = len(windows)
            whole = padded(windows, per_call)
            state, metrics = self.programs.advance(
                config.schedule, state, to_devices(self.mesh, whole, 1), count
            )
            done += count
            if late is not None:
                self._write(log, *late)
            late = done, count, metrics
            due = interrupted() or time.monotonic() - saved_at >= self.checkpoint_seconds
            if as_lead(due) or done == config.steps:
                self._write(log, *late)
                late = None
                log.flush()
                checkpoints.save(state)
                saved_at = time.monotonic()
                if as_lead(interrupted()):
                    raise KeyboardInterrupt(
                        f"stopped after step {done:,} of {config.steps:,}, which is saved; "
                        f"started again, the run goes on from there"
                    )
        return state

    def _write(self, log: MetricsFile, done: int, count: int, metrics: Metrics) -> None:
        """Append a line for one call, the mean over its steps, and one where it diverged."""
        loss = np.asarray(metrics.loss, np.float64)[:count]
        norm = np.asarray(metrics.grad_norm, np.float64)[:count]
        rate = count * self.config.step_tokens / max(log.lap(), 1e-9)
        first = done - count
        good = count if np.isfinite(loss).all() else int(np.argmin(np.isfinite(loss)))
        if good:
            log.append(self._line(first + good, loss[:good], norm[:good]))
        if good < count:
            bad = slice(good, good + 1)
            log.append(self._line(first + good + 1, loss[bad], norm[bad]))
            raise _DivergedError(first + good + 1)
        if self.progress is not None:
            mfu = rate * self.config.flops_per_token / self.peak
            self.progress(Progress(done, self.config.steps, float(loss.mean()), rate, mfu))

    def _line(self, done: int, loss: np.ndarray, norm: np.ndarray) -> dict[str, Any]:
        final = self.config.recipe.final_fraction
        return {
            "step": done,
            "tokens": done * self.config.step_tokens,
            "loss": float(loss.mean()),
            "grad_norm": float(norm.mean()),
            "learning_rate": float(self.config.schedule.rate(done - 1, final)),
        }

    def _heldout(self, state: State) -> tuple[float, int]:
        """Return the held-out loss and its tokens, each process doing its part."""

        def losses(windows: np.ndarray) -> jax.Array:
            mine = np.array_split(windows, jax.process_count())[jax.process_index()]
            return self.programs.heldout(state.params, to_devices(self.mesh, mine, 0))

        loss, tokens = heldout_loss(self.config, self.corpus, losses, self.mesh.size)
        if not np.isfinite(loss):
            raise _DivergedError(self.config.steps + 1)
        return float(loss), tokens


def _record(config: RunConfig, corpus: Corpus, end: _End) -> RunRecord:
    known = facts(config, corpus, end.steps)
    rate = known["tokens"] / end.seconds if end.seconds else float("nan")
    flops = known["exact_train_flops"] / end.seconds if end.seconds else float("nan")
    peak = matmul_peak(config.options.dtype) * jax.device_count()
    return RunRecord(
        **known,
        status="finished" if np.isfinite(end.loss) else "diverged",
        loss=end.loss,
        train_loss=end.train_loss,
        heldout_tokens=end.heldout_tokens,
        seconds=end.seconds,
        tokens_per_second=rate,
        mfu=flops / peak,
        devices=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        last_checkpoint=end.last_checkpoint,
    )
