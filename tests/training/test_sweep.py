"""A sweep: the paper's 47 runs as published, and small ones run, resumed, shared, tabled."""

import csv
import dataclasses
import importlib
import shutil
import threading
from collections import Counter

import numpy as np
import pytest

from scaling_jax.runs import read_runs
from scaling_jax.training import RECIPES, SWEEPS, Machine, estimate, recipe_of, status, sweep
from scaling_jax.training.locking import locked
from scaling_jax.training.sweep import finished, update_table
from scaling_jax.training.sweep_recipes import Size
from tests.conftest import DATA
from tests.support import approx
from tests.training.conftest import SHAPE

# The package's attribute `sweep` is the function.
sweep_module = importlib.import_module("scaling_jax.training.sweep")
TINY = dataclasses.replace(
    SWEEPS["smoke"], sizes=(Size("7k", SHAPE, 4, (5, 1, 3)),), heldout_tokens=2**12
)


@pytest.mark.skipif(not DATA.exists(), reason="the published runs are not beside this checkout")
def test_the_papers_sweep_is_the_published_one():
    published = read_runs(DATA / "sardana2024_runs.csv")
    planned = {run.name: run.config for run in SWEEPS["sardana47"].runs()}
    assert len(planned) == 47
    mine = sorted((c.shape.params, c.tokens / c.shape.params) for c in planned.values())
    theirs = sorted(zip(published.params, published.tokens_per_param, strict=True))
    np.testing.assert_allclose(mine, theirs, rtol=6e-3)
    with (DATA / "sardana2024_runs.csv").open() as file:
        batches = {
            f"{row['Model Name']}-{float(row['Tokens/Params']):g}": int(
                float(row["Batch Size"])
            )
            for row in csv.DictReader(file)
        }
    batches["150M-10000"] = 960  # footnote 3, against the file
    assert {name: config.batch for name, config in planned.items()} == batches
    peaks = {name: config.schedule.peak for name, config in planned.items()}
    assert peaks["150M-10"] == approx(4.603e-4, rel=1e-3)
    assert peaks["6B-20"] == approx(8.632e-5, rel=1e-3)
    assert planned["150M-10"].steps == approx(2310, rel=1e-2)


def test_cpu47_mirrors_its_structure():
    def structure(recipe):
        """How many runs each size has, smallest first, and the largest ratio."""
        runs = [run.config for run in recipe.runs()]
        counts = Counter(config.shape.params for config in runs)
        smallest = min(counts)
        most = max(c.tokens / c.shape.params for c in runs if c.shape.params == smallest)
        return [counts[params] for params in sorted(counts)], round(most)

    assert structure(SWEEPS["cpu47"]) == structure(SWEEPS["sardana47"])
    assert structure(SWEEPS["cpu47"]) == ([12, 10, 9, 8, 7, 1], 10_000)


def test_least_work_comes_first():
    work = [run.config.tokens * run.config.shape.params for run in SWEEPS["sardana47"].runs()]
    assert work == sorted(work)


@pytest.fixture(scope="module")
def swept(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    first = sweep(TINY, corpus, out, shard=(0, 2))
    between = status(TINY, out)
    return first, between, sweep(TINY, corpus, out), out


def test_shards_share_the_runs_and_a_second_start_only_finishes(swept):
    first, between, records, _ = swept
    assert [round(record.tokens_per_param) for record in first] == [1, 5]
    assert [run.state for run in between] == ["finished", "waiting", "finished"]
    assert [round(record.tokens_per_param) for record in records] == [1, 3, 5]
    assert records[0] == first[0]


def test_a_folder_holds_one_sweep(swept, corpus):
    *_, out = swept
    assert recipe_of(out) == TINY.name
    with pytest.raises(ValueError, match=r"holds the sweep smoke; give another folder for wee"):
        sweep(dataclasses.replace(TINY, name="wee"), corpus, out)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "is damaged; remove it"),
        ('{"rec', "is damaged; remove it"),
        (None, "has no sweep"),
    ],
)
def test_a_torn_name_of_a_sweep_is_told_with_what_to_do(tmp_path, content, words):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        recipe_of(tmp_path)


def test_the_status_shows_the_other_runs_beside_a_damaged_one(swept, tmp_path):
    *_, out = swept
    shutil.copytree(out, tmp_path / "copy")
    (tmp_path / "copy" / "7k-3" / "record.json").write_text("{")
    states = [run.state for run in status(TINY, tmp_path / "copy")]
    assert states == ["finished", "damaged", "finished"]
    with pytest.raises(ValueError, match=r"holds the sweep smoke; give another folder for wee"):
        status(dataclasses.replace(TINY, name="wee"), out)


def test_the_table_is_what_a_fit_reads(swept):
    *_, records, out = swept
    runs = read_runs(out / "runs.csv")
    np.testing.assert_array_equal(runs.params, [SHAPE.params] * 3)
    np.testing.assert_array_equal(runs.tokens, [record.tokens for record in records])
    np.testing.assert_array_equal(runs.loss, [record.loss for record in records])
    with (out / "runs.csv").open() as file:
        row = next(csv.DictReader(file))
    assert {"seed", "corpus", "epochs", "seconds", "mfu", "exact_train_flops"} <= row.keys()


def test_two_sweeps_lose_no_row_of_the_table(swept, monkeypatch, tmp_path):
    """Between the reading of records and the writing of the table, another sweep writes."""
    *_, out = swept
    records = finished(TINY, out)
    calls = []

    def slowly(recipe, folder):
        if not calls:
            calls.append(threading.Thread(target=update_table, args=(recipe, folder)))
            calls[0].start()
            calls[0].join(0.5)  # where it is held back, it cannot end before this one
            return dict(list(records.items())[:1])
        return records

    monkeypatch.setattr(sweep_module, "finished", slowly)
    update_table(TINY, tmp_path)
    calls[0].join()
    assert (tmp_path / "runs.csv").read_text() == (out / "runs.csv").read_text()


def test_a_table_that_would_be_the_same_is_not_written(swept, monkeypatch):
    *_, out = swept
    before = (out / "runs.csv").stat()
    monkeypatch.setattr(sweep_module, "write_whole", pytest.fail)
    update_table(TINY, out)
    after = (out / "runs.csv").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_corpus_too_small_for_any_run_is_told_before_the_first(corpus, tmp_path):
    big = dataclasses.replace(TINY, sizes=(Size("7k", SHAPE, 4, (1, 10_000)),))
    with pytest.raises(ValueError, match=r"run 7k-10000: the run needs .* tokens"):
        sweep(big, corpus, tmp_path, started=pytest.fail)


def test_two_runs_of_one_folder_are_refused_before_anything_starts(corpus, tmp_path):
    deep = dataclasses.replace(SHAPE, layers=2)
    sizes = (Size("7k", SHAPE, 4, (1, 3)), Size("7k", deep, 4, (3, 5)))
    twice = dataclasses.replace(TINY, sizes=sizes)
    with pytest.raises(ValueError, match="sweep smoke are called 7k-3, which is their folder"):
        sweep(twice, corpus, tmp_path / "sweep", started=pytest.fail)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_run_is_told_before_the_first_starts(swept, corpus, tmp_path):
    *_, out = swept
    shutil.copytree(out / "7k-5", tmp_path / "7k-5")
    with pytest.raises(ValueError, match=r"run 7k-5: .*another run: seed is 1, was 0"):
        sweep(TINY, corpus, tmp_path, seed=1, started=pytest.fail)
    uneven = dataclasses.replace(TINY, sizes=(Size("7k", SHAPE, 4, (1,)),))
    with pytest.raises(ValueError, match="fsdp is 3; it must divide"):
        sweep(uneven, corpus, tmp_path, fsdp=3, started=pytest.fail)


def test_runs_of_another_process_are_passed_over(corpus, tmp_path):
    (tmp_path / "7k-1").mkdir()
    one = dataclasses.replace(TINY, sizes=(Size("7k", SHAPE, 4, (1,)),))
    with locked(tmp_path / "7k-1"):
        assert sweep(one, corpus, tmp_path) == []


def test_a_diverged_run_is_told_and_left_out_of_the_table(corpus, tmp_path):
    wild = dataclasses.replace(RECIPES["narrow"], peak_times_d_model=1e36)
    bad = dataclasses.replace(TINY, recipe=wild, sizes=(Size("7k", SHAPE, 4, (3,)),))
    (record,) = sweep(bad, corpus, tmp_path)
    assert record.status == status(bad, tmp_path)[0].state == "diverged"
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1


def test_estimates_follow_flops_mfu_and_price():
    """150M at 10 tokens/param on one H100 at 40 %: exact FLOPs / (0.4 · 989e12) seconds."""
    run = next(run for run in SWEEPS["sardana47"].runs() if run.name == "150M-10")
    machine = Machine.of("bfloat16", chip="H100-SXM", chips=1, price=2.0)
    told = estimate(run.config, machine, 0.4)
    seconds = told.exact_train_flops / (0.4 * 989e12)
    assert told.hours == approx(seconds / 3600, rel=1e-9)
    assert told.dollars == approx(2 * told.hours, rel=1e-9)
    assert told.train_flops == approx(6 * told.params * told.tokens, rel=1e-9)
    assert Machine.of("bfloat16", chip="h100-sxm", price=2.0) == machine
    with pytest.raises(ValueError, match="no chip is called 'H1000'; the nearest is H"):
        Machine.of("bfloat16", chip="H1000")


def test_a_shard_that_does_not_exist_is_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match="shard is 2/2"):
        sweep(TINY, corpus, tmp_path, shard=(2, 2))
