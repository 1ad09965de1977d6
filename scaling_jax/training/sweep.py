"""`sweep`: the runs of a recipe, one after another, resumable, shared between processes."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from scaling_jax._files import write_whole
from scaling_jax.training.checking import check_run
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.locking import check_claim, locked
from scaling_jax.training.mesh import check_batch, make_mesh
from scaling_jax.training.metrics import read_metrics
from scaling_jax.training.processes import BusyError, is_lead, together
from scaling_jax.training.run_record import RunRecord
from scaling_jax.training.sweep_recipes import PlannedRun, SweepRecipe
from scaling_jax.training.trainer import Progress, train

_NAME = "sweep.json"


class RunStatus(NamedTuple):
    """Where one run of a sweep is.

    Its state is "waiting", "begun", "finished", "diverged", or "damaged" where a file of it
    cannot be read: `sweep` says which.
    """

    name: str
    state: str
    step: int
    steps: int
    loss: float | None


def sweep(
    recipe: SweepRecipe,
    corpus: Corpus,
    out: str | Path,
    *,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    fsdp: int = 1,
    checkpoint_seconds: float = 60.0,
    started: Callable[[PlannedRun], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[RunRecord]:
    """Train every run of a recipe that is not finished yet, least work first.

    Started again, it goes on where it was; runs that another process is training are passed
    over, so several may share a folder. After each run `runs.csv` holds all that are finished,
    as `read_runs` takes them.

    Args:
        recipe: which runs.
        corpus: on what.
        out: the sweep's folder; each run has its own in it.
        seed: of every run.
        shard: (i, n) takes every n-th run from the i-th on, for job arrays.
        fsdp, checkpoint_seconds: as in `train`.
        started: called with each run before it starts.
        progress: as in `train`.

    Returns:
        The records of this shard's runs that are over.

    Raises:
        ValueError, OSError: as in `train`, for any run before the first starts; the shard does
            not exist, or the folder holds the sweep of another recipe.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard is {index}/{count}; i/n needs 0 <= i < n")
    out, records = Path(out), []
    runs = recipe.runs(seed)[index::count]
    mesh = make_mesh(fsdp)
    for run in runs:
        try:
            check_run(run.config, corpus)
            check_batch(mesh, run.config.batch, run.config.accumulate)
            check_claim(out / run.name, run.config, corpus)
        except ValueError as error:
            raise ValueError(f"run {run.name}: {error}") from error
    with together():
        if is_lead():
            _claim(out, recipe)
    for run in runs:
        if started is not None:
            started(run)
        try:
            records.append(
                train(
                    run.config,
                    corpus,
                    out / run.name,
                    fsdp=fsdp,
                    checkpoint_seconds=checkpoint_seconds,
                    progress=progress,
                )
            )
        except BusyError:
            continue
        with together():
            if is_lead():
                update_table(recipe, out)
    return records


def recipe_of(out: str | Path) -> str:
    """Return the name of the recipe whose sweep a folder holds.

    Raises:
        ValueError: the folder holds no sweep, or its `sweep.json` is damaged.
    """
    path = Path(out) / _NAME
    try:
        return str(json.loads(path.read_text("utf-8"))["recipe"])
    except OSError as error:
        raise ValueError(f"{out} is not the folder of a sweep: it has no {_NAME}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; remove it, and `sweep` writes it anew") from error


def status(recipe: SweepRecipe, out: str | Path) -> list[RunStatus]:
    """Return where each run of a sweep is, without disturbing it.

    Raises:
        ValueError: the folder holds the sweep of another recipe.
    """
    if (Path(out) / _NAME).exists():
        _check_recipe(Path(out), recipe)
    return [_status(run, Path(out) / run.name) for run in recipe.runs()]


def finished(recipe: SweepRecipe, out: str | Path) -> dict[str, RunRecord]:
    """Return the records of all finished runs by name, least work first."""
    paths = {run.name: Path(out) / run.name / "record.json" for run in recipe.runs()}
    records = {name: RunRecord.read(path) for name, path in paths.items() if path.exists()}
    return {name: each for name, each in records.items() if each.status == "finished"}


def update_table(recipe: SweepRecipe, out: Path) -> None:
    """Write `runs.csv` where it lacks a run: a row a run, whole or not at all."""
    path = out / "runs.csv"
    if path.exists() and path.read_text("utf-8") == _table(finished(recipe, out)):
        return  # the folder may be read-only
    with locked(out, wait=True):  # another shard may have read fewer records
        write_whole(path, _table(finished(recipe, out)))


def _table(records: dict[str, RunRecord]) -> str:
    names = ["name", *(field.name for field in dataclasses.fields(RunRecord))]
    rows = ({"name": name, **dataclasses.asdict(each)} for name, each in records.items())
    table = io.StringIO()
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(rows))
    return table.getvalue()


def _claim(out: Path, recipe: SweepRecipe) -> None:
    """Make the folder this recipe's, or refuse one that is another's."""
    if (out / _NAME).exists():
        _check_recipe(out, recipe)
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / _NAME, json.dumps({"recipe": recipe.name}) + "\n")


def _check_recipe(out: Path, recipe: SweepRecipe) -> None:
    if (found := recipe_of(out)) != recipe.name:
        raise ValueError(
            f"{out} holds the sweep {found}; give another folder for {recipe.name}"
        )


def _plain(rows: Iterable[dict]) -> Iterable[dict]:
    return ({key: "" if value is None else value for key, value in row.items()} for row in rows)


def _status(run: PlannedRun, folder: Path) -> RunStatus:
    try:
        return _readable_status(run, folder)
    except ValueError:
        return RunStatus(run.name, "damaged", 0, run.config.steps, None)


def _readable_status(run: PlannedRun, folder: Path) -> RunStatus:
    steps = run.config.steps
    if (folder / "record.json").exists():
        record = RunRecord.read(folder / "record.json")
        done = steps if record.status == "finished" else _last_step(folder)[0]
        return RunStatus(run.name, record.status, done, steps, record.loss)
    step, loss = _last_step(folder)
    return RunStatus(run.name, "begun" if step else "waiting", step, steps, loss)


def _last_step(folder: Path) -> tuple[int, float | None]:
    lines = read_metrics(folder / "metrics.jsonl")
    return (lines[-1]["step"], lines[-1]["loss"]) if lines else (0, None)
