import csv
import io
import json
import re
from importlib import resources

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaling_jax.runs as runs_room
from scaling_jax.runs import Runs, read_runs
from tests.conftest import DATA
from tests.support import approx

HEADER = "params,tokens,loss"


def listed(column):
    return np.asarray(column).tolist()


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_canonical_names_and_extra_columns(tmp_path):
    path = write(
        tmp_path / "a.csv", "name,params,tokens,loss\nx,1e8,2e9,3.5\n\ny,1e9,2e10,2.9\n"
    )
    runs = read_runs(path)
    assert runs.params.tolist() == [1e8, 1e9]
    assert runs.params.dtype == runs.loss.dtype == np.float64
    assert runs.weight is None
    assert runs.sigma is None
    assert runs.group is None


@pytest.mark.parametrize(
    ("names", "tokens"),
    [
        (("Parameters", "Tokens", "Smoothed Loss"), 2e9),
        (("Model Size", "Training FLOP", "loss"), 2e9 / 6e8),
        (("params", "train_flops", "loss"), 2e9 / 6e8),
    ],
)
def test_names_of_public_data(names, tokens):
    runs = read_runs(dict(zip(names, ([1e8], [2e9], [3.5]), strict=True)))
    np.testing.assert_allclose(runs.tokens, [tokens])


def test_tokens_win_over_flops():
    table = {"params": [1e8], "tokens": [2e9], "train_flops": [7.0], "loss": [3.5]}
    assert read_runs(table).tokens.tolist() == [2e9]


def test_json_lines(tmp_path):
    rows = [{"params": 1e8, "tokens": 2e9, "loss": 3.5, "group": "a"}] * 2
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    assert listed(read_runs(path).group) == ["a", "a"]


class Frame:
    """What pandas and polars frames have in common."""

    def __init__(self, columns):
        self.columns, self._data = list(columns), columns

    def __getitem__(self, name):
        return np.asarray(self._data[name])


def test_frames():
    frame = Frame({"params": [1e8], "tokens": [2e9], "loss": [3.5], "sigma": [0.01]})
    assert listed(read_runs(frame).sigma) == [0.01]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {"params": [1e8], "tokens": [2e9], "loss": [3.5]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    assert read_runs(tmp_path / "a.parquet").tokens.tolist() == [2e9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1e8,2e9,\n", "a.csv, row 2, column loss: the value is missing"),
        ("1e8,2e9,nan\n", "row 2, column loss: the value is 'nan'"),
        ("1e8,2e9,3.5\n1e8,0,3.5\n", "row 3, column tokens: the value is '0'"),
        ("1e8,2e9,3.5\n\n-1e8,2e9,3.5\n", "row 4, column params: the value is '-1e8'"),
        ("1e8,two,3.5\n", "column tokens: the value is 'two'; it must be a positive number"),
        ("1e8,inf,3.5\n", "column tokens: the value is 'inf'"),
        ("1e8,2e9\n", "row 2 has 2 values; the header names 3"),
        ("", "has no runs"),
    ],
)
def test_refusals_name_file_row_column_and_value(tmp_path, text, words):
    path = write(tmp_path / "a.csv", f"{HEADER}\n{text}")
    with pytest.raises(ValueError, match=r"a\.csv") as error:
        read_runs(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (
            "params,loss\n1,2\n",
            "has no column tokens (nor train_flops); its columns are params",
        ),
        ("params,tokens,loss,loss\n1,2,3,4\n", "two columns called 'loss'"),
        ("params,Parameters,tokens,loss\n1,2,3,4\n", "two columns of params: 'params' and"),
    ],
)
def test_refusals_of_headers(tmp_path, text, words):
    with pytest.raises(ValueError, match=r"a\.csv") as error:
        read_runs(write(tmp_path / "a.csv", text))
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["weight", "sigma"])
def test_optional_columns_are_checked(name):
    table = {"params": [1e8, 1e8], "tokens": [2e9, 2e9], "loss": [3.5, 3.4], name: [1.0, -1.0]}
    with pytest.raises(ValueError, match=f"row 2, column {name}: the value is -1.0"):
        read_runs(table)


def test_a_weight_of_zero_is_a_weight():
    table = {"params": [1e8], "tokens": [2e9], "loss": [3.5], "weight": [0]}
    assert listed(read_runs(table).weight) == [0.0]


def test_other_refusals(tmp_path):
    with pytest.raises(ValueError, match="no file of runs is called"):
        read_runs(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="not from int"):
        read_runs(3)
    with pytest.raises(ValueError, match="column tokens has 2 rows and params has 1"):
        read_runs({"params": [1e8], "tokens": [2e9, 2e9], "loss": [3.5]})
    with pytest.raises(ValueError, match="row 1 is not JSON"):
        read_runs(write(tmp_path / "a.jsonl", "{"))
    with pytest.raises(ValueError, match="must be an object"):
        read_runs(write(tmp_path / "a.jsonl", "[1]"))
    with pytest.raises(ValueError, match="column tokens: the value is missing"):
        read_runs(write(tmp_path / "a.jsonl", '{"params": 1, "tokens": null, "loss": 2}'))


TABLE = {"params": [1e8, 1e9], "tokens": [2e9, 2e10], "loss": [3.5, 3.0]}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (TABLE | {"group": ["a", ""]}, "row 2, column group: the value is missing"),
        (TABLE | {"group": [None, "a"]}, "row 1, column group: the value is missing"),
        (TABLE | {"loss": 3.0}, "column loss is 3.0; it must be one value per run"),
        (
            TABLE | {"params": ["1,000", 1]},
            "'1,000'; it must be a positive number without commas",
        ),
        (np.ones((2, 3)), "not from ndarray"),
    ],
)
def test_refusals_of_tables(source, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        read_runs(source)


def test_a_traced_table_is_refused():
    with pytest.raises(ValueError, match=r"column loss is traced by JAX; .* `refit`"):
        jax.grad(lambda x: read_runs(TABLE | {"loss": x * np.ones(2)}).loss.sum())(3.0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"params;tokens;loss\n1;2;3\n", "are separated by commas, not by ';'"),
        ("a.jsonl", b'{"params": "\xe9"}', "is not a JSON file: 'utf-8'"),
        ("a.jsonl", b'{"params": 1%s, "tokens": 1, "loss": 1}' % (b"0" * 400), "row 1, column"),
    ],
)
def test_refusals_of_files(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        read_runs(path)
    assert len(str(error.value)) < 300


def test_json_of_one_array_and_of_odd_ends_of_lines(tmp_path):
    lines = [json.dumps({"params": 1e8, "tokens": 2e9, "loss": loss}) for loss in (3.5, 3.4)]
    array = read_runs(write(tmp_path / "a.json", f"[\n{lines[0]},\n{lines[1]}]"))
    assert listed(array.loss) == [3.5, 3.4]
    odd = '{"name": "a\u2028b", "params": 1e8, "tokens": 2e9, "loss": 3.5}'
    assert len(read_runs(write(tmp_path / "b.jsonl", odd))) == 1


def test_a_ratio_of_whole_batches_is_the_ratio_that_was_meant():
    assert len(runs_room.CPU47.select(max_tokens_per_param=100)) == 34


positive = st.floats(min_value=1e-300, max_value=1e300)


@given(st.lists(st.tuples(positive, positive, positive), min_size=1, max_size=5))
def test_csv_round_trip_is_exact(tmp_path_factory, rows):
    params, tokens, loss = np.array(rows).T
    group = np.array([f"g,{i}" for i in range(len(rows))])
    path = tmp_path_factory.mktemp("runs") / "a.csv"
    Runs(params=params, tokens=tokens, loss=loss, group=group).write(path)
    again = read_runs(path)
    for name in ("params", "tokens", "loss", "group"):
        np.testing.assert_array_equal(getattr(again, name), locals()[name])


def test_select_keeps_bounds_and_optional_columns():
    runs = read_runs(
        {
            "params": [1e8, 1e8, 3e8],
            "tokens": [2e9, 1e10, 6e10],
            "loss": [3.5, 3.2, 2.9],
            "weight": [1, 2, 3],
        }
    )
    assert listed(runs.select(max_tokens_per_param=100).weight) == [1, 2]
    assert listed(runs.select(min_params=3e8).weight) == [3]
    assert listed(runs.select(max_train_flops=6 * 1e18, min_tokens=3e9).weight) == [2]
    assert len(runs.select(max_tokens=1.0)) == 0
    with pytest.raises(ValueError, match="no column 'colour'; they have params, tokens"):
        runs.select(max_colour=1.0)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("name", "count", "column"),
    [
        ("sardana2024_runs", 47, "Smoothed Loss"),
        ("epoch2024_chinchilla_runs", 245, "loss"),
        ("gadre2024_c4_runs", 34, "loss"),
    ],
)
def test_published_tables(name, count, column):
    path = DATA / f"{name}.csv"
    runs = read_runs(path)
    assert len(runs) == count
    with path.open(newline="") as file:
        assert float(next(iter(csv.DictReader(file)))[column]) == runs.loss[0]


def test_the_packaged_sweep_is_whole_and_says_where_it_comes_from():
    table = resources.files("scaling_jax.runs") / "cpu47.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert len(rows) == len(runs_room.CPU47) == 47
    assert {row["status"] for row in rows} == {"finished"}
    assert len({row["corpus"] for row in rows}) == 1
    assert all(float(row["epochs"]) <= 1 for row in rows)
    assert {row["recipe"] for row in rows} == {"narrow"}
    (check,) = runs_room.CPU47_CHECK.params
    assert check not in runs_room.CPU47.params


def test_more_data_helped_every_model_of_the_packaged_sweep():
    runs = runs_room.CPU47
    assert runs.tokens_per_param.max() == approx(10_000, rel=1e-3)
    for params in np.unique(runs.params):
        mine = runs.where(runs.params == params)
        assert np.all(np.diff(mine.loss[np.argsort(mine.tokens)]) < 0)


WIDE = {
    "params": [1e8, 1e9, 1e9],
    "tokens": [2e9, 2e10, 4e10],
    "loss": [3.5, 3.0, 2.9],
    "Unique-Tokens": ["2e9", 5e9, None],
    "corpus": ["c4", "", "pile"],
    "diverged": [False, True, False],
}


def test_further_columns_are_numbers_or_text():
    runs = read_runs(WIDE)
    assert list(runs.columns) == list(WIDE)
    np.testing.assert_array_equal(runs["unique_tokens"], [2e9, 5e9, np.nan])
    assert runs["CORPUS"].tolist() == ["c4", "", "pile"]
    assert runs["diverged"].tolist() == ["False", "True", "False"]
    assert "unique tokens" in runs
    assert "epochs" not in runs
    with pytest.raises(ValueError, match="no column 'epochs'; they have params, tokens, loss"):
        runs["epochs"]


def test_select_takes_any_column():
    runs = read_runs(WIDE)
    assert listed(runs.select(corpus="c4").loss) == [3.5]
    assert listed(runs.select(corpus=["c4", "pile"], max_params=5e8).loss) == [3.5]
    assert listed(runs.select(diverged=False).loss) == [3.5, 2.9]
    assert listed(runs.select(min_unique_tokens=3e9).loss) == [3.0]
    assert listed(runs.select(unique_tokens=[2e9, 7.0]).loss) == [3.5]
    assert listed(runs.where(runs.loss < 3.2)["corpus"]) == ["", "pile"]
    with pytest.raises(ValueError, match="max_corpus is a bound on corpus, which is text"):
        runs.select(max_corpus=3)
    with pytest.raises(ValueError, match="'c4' is not a number"):
        runs.select(params="c4")


def test_all_columns_are_written_and_read_again(tmp_path):
    runs = read_runs(WIDE | {"group": ["a", "a", "b,c"], "score": [0.1 + 0.2, np.nan, 1e-300]})
    runs.write(tmp_path / "a.csv")
    again = read_runs(tmp_path / "a.csv")
    assert list(again.columns) == list(runs.columns)
    for name, column in runs.columns.items():
        np.testing.assert_array_equal(again[name], column)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_columns_of_a_record():
    with pytest.raises(ValueError, match=r"tokens has the shape \(2,\) and loss \(1,\)"):
        Runs(params=np.ones(1), tokens=np.ones(2), loss=np.ones(1))
    with pytest.raises(
        ValueError, match="two columns are called unique_tokens: 'Unique tokens'"
    ):
        read_runs(TABLE | {"Unique tokens": [1, 2], "unique_tokens": [1, 2]})
    runs = read_runs(TABLE).with_columns(LOSS=[2.0, 1.0], epochs=[1, 2])
    assert listed(runs.loss) == [2.0, 1.0]
    assert "epochs" not in runs.with_columns(epochs=None)
    assert repr(runs) == "Runs(2 runs: params, tokens, loss, epochs)"


def test_a_tables_own_compute_counts():
    own = read_runs(TABLE | {"Training FLOPs": [7.0, 8.0]})
    assert listed(own.train_flops) == [7.0, 8.0]
    assert read_runs(TABLE).train_flops == pytest.approx([1.2e18, 1.2e20])


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
def test_a_published_table_with_further_axes():
    runs = read_runs(DATA / "axes" / "datablations_c4.csv")
    few = runs.select(max_epochs=4, group="c4")
    assert 0 < len(few) < len(runs) == 204
    assert few["epochs"].max() <= 4 * 1.001
