"""Grids: the same values whatever the chunks, the devices, the memory or a kill."""

import filecmp
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.grids import axis, grid, program
from tests.conftest import X64, needs_x64
from tests.support import approx

AXES = {"loss": "1.8:3.0:37", "tokens": "1e9:1e14:101:log", "price": [1.0, 1.5, 4.0]}


def scenario(loss, tokens, price):
    plan = sj.plan(
        sj.laws.HOFFMANN_2022, sj.Flops(), sj.Demand(output_tokens=tokens), loss=loss
    )
    return {
        "dollars": plan.total_cost * price / 1e18,
        "limit": plan.limit,
        "plan": plan.baseline,
    }


def test_axes_are_read_exactly():
    assert axis("1:2:5").tolist() == [1.0, 1.25, 1.5, 1.75, 2.0]
    ends = axis("1e9:1e14:200:log")
    assert (len(ends), ends[0], ends[-1]) == (200, 1e9, 1e14)
    assert np.ptp(np.diff(np.log(ends))) < 1e-12


@pytest.mark.parametrize(
    "text", ["", "1:2", "1:2:0", "1:2:3:cubic", "a:2:3", "0:1:5:log", "nan:1:5", "1:2:3:log:4"]
)
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is no axis"):
        axis(text)


def test_every_value_is_where_its_coordinates_say():
    result = grid(scenario, AXES)
    assert result.shape == (37, 101, 3)
    assert set(result.values) == {
        "dollars",
        "limit",
        *(f"plan.{name}" for name in "params tokens loss train_cost serve_cost".split()),
    }
    assert result["limit"].dtype == np.int32
    for i, j, k in ((0, 0, 0), (36, 100, 2), (17, 50, 1)):
        at = [each[index] for each, index in zip(result.axes.values(), (i, j, k), strict=True)]
        expected = scenario(*(float(x) for x in at))
        assert result["dollars"][i, j, k] == approx(expected["dollars"], rel=1e-5)
        chosen = result.sel(**dict(zip(result.axes, at, strict=True)))
        assert chosen["dollars"] == result["dollars"][i, j, k]


def test_sel_takes_the_nearest_point_and_refuses_what_is_outside():
    result = grid(lambda x, y: 10 * x + y, {"x": [1.0, 2.0, 4.0], "y": [0.0, 1.0]})
    assert result.sel(x=2.9)["value"].tolist() == [40.0, 41.0]  # 1.38 times, to 2.0 it is 1.45
    assert list(result.sel(x=2.9).axes) == ["y"]
    assert result.sel(y=0.4)["value"].tolist() == [10.0, 20.0, 40.0]
    with pytest.raises(ValueError, match=r"x is 5, and the axis runs from 1 to 4"):
        result.sel(x=5)
    with pytest.raises(ValueError, match="no axis is called 'z'"):
        result.sel(z=1)
    with pytest.raises(KeyError, match="no value is called 'loss'"):
        result["loss"]
    with pytest.raises(KeyError, match="x is an axis, in `axes`"):
        result["x"]


@pytest.mark.parametrize(
    ("points", "wanted", "nearest"),
    [
        ("1:100:3:log", 5.0, 10.0),
        ("1:100:3:log", 3.0, 1.0),
        ("1e9:1e14:6:log", 4e12, 1e13),
        ([1e9, 3e9, 1e10, 3e10], 1.8e9, 3e9),  # closer to 1e9 by difference
        ("1:3:3", 1.45, 1.0),
        ([1.0, 2.0], 1.45, 1.0),  # two points are no more one than the other
        ([0.0, 1.0, 100.0], 60.0, 100.0),
        ([-4.0, 4.0], -0.5, -4.0),
        ([7.0], 7.0, 7.0),
        ([100.0, 1.0, 10.0], 5.0, 10.0),
        ([0.1, 0.3], 0.1, 0.1),  # 0.1 in 32 bits is a little more than 0.1
    ],
)
def test_sel_is_nearest_on_the_scale_of_the_axis(points, wanted, nearest):
    found = grid(lambda x: x, {"x": points}).sel(x=wanted)["value"]
    assert found == approx(nearest, rel=1e-6)


def test_a_value_with_the_name_of_an_axis_stands_beside_it():
    """As README prints it: the axis is the target, the value what the plan reaches."""

    def plan(loss, tokens):
        demand = sj.Demand.of_tokens(tokens)
        return sj.plan(sj.laws.HOFFMANN_2022, sj.Flops(), demand, loss=loss)

    maps = grid(plan, {"loss": "1.6:3.0:8", "tokens": "1e9:1e14:3:log"})
    assert {"value.loss", "value.tokens", "params", "baseline.loss"} <= set(maps.values)
    missing = np.isnan(maps["value.loss"]).all(axis=1)
    assert missing.tolist() == [True] + 7 * [False]  # E is 1.69
    np.testing.assert_allclose(
        maps["value.loss"][~missing, 0], maps.axes["loss"][~missing], rtol=1e-6
    )
    assert maps.units["value.loss"] == maps.units["loss"] == "nats/token"
    assert maps.units["value.tokens"] == "tokens"
    assert grid(lambda value: 2 * value, {"value": [1.0]}).values.keys() == {"value.value"}
    pytest.importorskip("xarray", reason="the grid extra is not installed")
    assert maps.to_xarray()["value.loss"].dims == ("loss", "tokens")


def test_axes_of_any_name_reach_the_law_and_have_their_units():
    law = sj.Repeated(base=sj.laws.HOFFMANN_2022, R_D=15.0, R_N=5.0)
    result = grid(
        lambda tokens, unique_tokens: law(1e9, tokens, unique_tokens=unique_tokens),
        {"tokens": [1e11, 4e11], "unique_tokens": [5e10, 1e11, 1e12]},
    )
    assert result.units == {"tokens": "tokens", "unique_tokens": "tokens"}
    assert result["value"][1, 0] == approx(law(1e9, 4e11, unique_tokens=5e10), rel=1e-5)
    assert result["value"][0, 2] == approx(law.base(1e9, 1e11), rel=1e-5)
    units = {
        "max_params": "parameters",
        "teacher_loss": "nats/token",
        "serve_bits": "bits",
        "batch_tokens": "tokens",
        "learning_rate": "dimensionless",
        "vocab_size": "tokens",
        "samples": "samples/question",
    }
    named = grid(lambda **given: sum(given.values()), {name: [1.0] for name in units})
    assert named.units == units


def test_an_axis_may_be_a_list_of_records():
    laws = [sj.laws.HOFFMANN_2022, sj.laws.BESIROGLU_2024]
    result = grid(lambda law, params: law(params, 1e12), {"law": laws, "params": [1e9, 7e9]})
    assert result.axes["law"].tolist() == [0, 1]
    assert result["value"][1, 1] == approx(sj.laws.BESIROGLU_2024(7e9, 1e12), rel=1e-6)
    with pytest.raises(ValueError, match="'law' lists records of several kinds"):
        grid(lambda law: law(1e9, 1e12), {"law": [*laws, sj.laws.KAPLAN_2020]})


def test_an_axis_may_be_stacked_records():
    laws = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]),
        sj.laws.HOFFMANN_2022,
        sj.laws.BESIROGLU_2024,
    )
    result = grid(lambda law, params: law(params, 1e12), {"law": laws, "params": [1e9, 7e9]})
    assert result.axes["law"].tolist() == [0, 1]
    assert result["value"][1, 1] == approx(sj.laws.BESIROGLU_2024(7e9, 1e12), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 7, 11])
def test_values_are_the_same_bit_for_bit_for_any_chunk(monkeypatch, rows):
    whole = grid(scenario, AXES)
    monkeypatch.setattr(program, "_ROWS", rows)
    assert_same(grid(scenario, AXES), whole)


@needs_x64
def test_values_are_the_same_bit_for_bit_for_any_memory():
    whole = grid(scenario, AXES)
    result = sum(values.nbytes for values in whole.values.values())
    done = []
    tight = grid(
        scenario, AXES, memory=result + 300_000, progress=lambda *now: done.append(now)
    )
    assert len(done) > 4
    assert done[-1] == (37 * 101 * 3, 37 * 101 * 3)
    assert_same(tight, whole)


def test_the_memory_limit_is_held_by_the_compiled_program():
    from scaling_jax.grids.axes import read_axes

    for room in (300_000, 1_000_000, 10**9):
        assert program.compiled(scenario, read_axes(AXES), None, room).bytes <= room


def test_one_program_whatever_the_number_of_chunks(monkeypatch):
    monkeypatch.setattr(program, "_ROWS", 1)
    traces = []

    def traced(x, y):
        traces.append(1)
        return x * y

    grid(traced, {"x": "0:1:100", "y": "0:1:100"})
    assert len(traces) == 2  # once for the shapes, once for the program of all ten chunks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid(lambda: 1.0, {}), "at least one axis"),
        (lambda: grid(lambda x: x, {"x": []}), "axis 'x' must be one array"),
        (lambda: grid(lambda x: x, {"x": 3.0}), "axis 'x' must be one array"),
        (lambda: grid(lambda x: x, {"x": np.ones((2, 2))}), "axis 'x' must be one array"),
        (lambda: grid(lambda x: {"a": jnp.ones(3) * x}, {"x": [1.0]}), r"a has shape \(3,\)"),
        (lambda: grid(lambda x: {}, {"x": [1.0]}), "f returns nothing"),
        (
            lambda: grid(lambda x: {"x": x, "value": {"x": x}}, {"x": [1.0]}),
            "two values are called 'value.x'",
        ),
        (lambda: grid(lambda x: x, {"x": "0:1:9999"}, memory=10_000), "raise it, return fewer"),
        (lambda: grid(lambda x: x, {"x": "0:1:999"}, memory=8_100), "memory is too small"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_units_are_those_of_the_vocabulary_or_as_given(tmp_path):
    xarray = pytest.importorskip("xarray", reason="the grid extra is not installed")
    axes = {"loss": [2.0, 2.2], "tokens": [1e12], "price": [1.0]}
    given = {"dollars": "10^18 dollars", "price": "dollars/FLOP"}
    result = grid(scenario, axes, units=given)
    assert result.units["loss"] == "nats/token"
    labelled = result.to_xarray()
    assert labelled["price"].attrs == {"units": "dollars/FLOP"}
    assert labelled["dollars"].attrs == {"units": "10^18 dollars"}
    assert labelled["plan.params"].attrs == {"units": "parameters"}
    assert labelled["plan.train_cost"].attrs == {}  # in the unit of the cost, which f knows
    assert result.sel(loss=2.0).units == result.units
    np.testing.assert_allclose(result.columns()["loss"], [2.0, 2.2], rtol=1e-6)
    pytest.importorskip("zarr", reason="the grid extra is not installed")
    grid(scenario, axes, units=given, out=tmp_path / "grid.zarr")
    stored = xarray.open_zarr(tmp_path / "grid.zarr", consolidated=False)
    assert stored["dollars"].attrs["units"] == "10^18 dollars"
    with pytest.raises(ValueError, match="units names 'cost'"):
        grid(scenario, axes, units={"cost": "dollars"})


def test_xarray_and_parquet_hold_the_same_values(tmp_path):
    xarray = pytest.importorskip("xarray", reason="the grid extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the grid extra is not installed")
    result = grid(scenario, AXES)
    labelled = result.to_xarray()
    assert isinstance(labelled, xarray.Dataset)
    assert (
        float(labelled["dollars"].sel(loss=3.0, tokens=1e9, price=1.5))
        == (result["dollars"][-1, 0, 1])
    )
    result.to_parquet(tmp_path / "grid.parquet")
    table = parquet.read_table(tmp_path / "grid.parquet").to_pydict()
    assert len(table) == 3 + 7
    np.testing.assert_array_equal(table["dollars"], result["dollars"].ravel())
    np.testing.assert_array_equal(table["price"][:4], [1.0, 1.5, 4.0, 1.0])
    result.sel(loss=2.0, tokens=1e12, price=1.0).to_parquet(tmp_path / "point.parquet")
    assert parquet.read_metadata(tmp_path / "point.parquet").num_rows == 1


def test_a_streamed_grid_is_the_same_and_opens_in_xarray(tmp_path):
    pytest.importorskip("zarr", reason="the grid extra is not installed")
    xarray = pytest.importorskip("xarray", reason="the grid extra is not installed")
    whole = grid(scenario, AXES)
    streamed = grid(scenario, AXES, out=tmp_path / "grid.zarr", memory=2**20)
    assert_same(streamed, whole)
    assert streamed["dollars"].nchunks > 1
    assert [path.name for path in tmp_path.iterdir()] == ["grid.zarr"]
    with xarray.open_zarr(tmp_path / "grid.zarr", consolidated=False) as opened:
        np.testing.assert_array_equal(opened["dollars"].values, whole["dollars"])
        assert opened["dollars"].dims == ("loss", "tokens", "price")
    assert streamed.sel(loss=2.0)["limit"].shape == (101, 3)


def test_a_store_of_something_else_is_never_overwritten(tmp_path):
    pytest.importorskip("zarr", reason="the grid extra is not installed")
    out = tmp_path / "grid.zarr"
    grid(lambda x: 2 * x, {"x": [1.0, 2.0]}, out=out)
    for f, axes in ((lambda x: 3 * x, [1.0, 2.0]), (lambda x: 2 * x, [1.0, 3.0])):
        with pytest.raises(ValueError, match="holds another grid"):
            grid(f, {"x": axes}, out=out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.partial").write_text("precious")
    with pytest.raises(ValueError, match="exists and is no grid"):
        grid(lambda x: x, {"x": [1.0]}, out=tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.partial").read_text() == "precious"


STREAM = """
    import os, signal, sys
    import jax
    jax.config.update("jax_enable_x64", True)
    import scaling_jax as sj
    from scaling_jax.grids import grid

    def saving(loss, tokens):
        demand = sj.Demand(output_tokens=tokens)
        return sj.plan(sj.laws.HOFFMANN_2022, sj.Flops(), demand, loss=loss).saving

    out, kill_at = sys.argv[1], int(sys.argv[2])
    seen = []

    def progress(done, points):
        seen.append(done)
        if done >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    axes = {"loss": "1.8:3.0:64", "tokens": "1e9:1e14:2000:log"}
    grid(saving, axes, out=out, memory=2**20, progress=progress)
    print(seen[0] if seen else -1)
"""


def stream(out: Path, kill_at: int) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", textwrap.dedent(STREAM), str(out), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_x64
def test_a_grid_that_was_killed_goes_on_and_ends_as_the_same_files(tmp_path):
    pytest.importorskip("zarr", reason="the grid extra is not installed")
    assert stream(tmp_path / "killed", 70_000).returncode == -signal.SIGKILL
    finished = (tmp_path / "killed.finished.0").read_text().split()
    again = stream(tmp_path / "killed", 10**9)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(finished) > 1
    assert int(again.stdout) > 64_000  # the first progress of the second call
    assert not (tmp_path / "killed.finished.0").exists()
    assert stream(tmp_path / "whole", 10**9).returncode == 0
    files = [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        twin = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
        assert filecmp.cmp(path, twin, shallow=False), path
    done = stream(tmp_path / "whole", 1)  # nothing is left to do
    assert (done.returncode, done.stdout) == (0, "-1\n")


@needs_x64
def test_two_processes_write_the_same_files(tmp_path):
    pytest.importorskip("zarr", reason="the grid extra is not installed")
    join = "jax.distributed.initialize(sys.argv[3], 2, int(sys.argv[4]))"
    first = "import scaling_jax as sj"
    script = textwrap.dedent(STREAM).replace(first, f"{join}\n{first}")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    out, pipe = str(tmp_path / "shared"), subprocess.PIPE
    command = [sys.executable, "-c", script, out, str(10**9), address]
    both = [
        subprocess.Popen([*command, str(each)], stdout=pipe, stderr=pipe, text=True)
        for each in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all(int(out.split()[-1]) > 0 for out, _ in said)  # both had a share
    assert stream(tmp_path / "alone", 10**9).returncode == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["alone", "shared"]
    files = [path for path in (tmp_path / "alone").rglob("*") if path.is_file()]
    for path in files:
        twin = tmp_path / "shared" / path.relative_to(tmp_path / "alone")
        assert filecmp.cmp(path, twin, shallow=False), path


@needs_x64
def test_eight_devices_give_the_same_bits(tmp_path):
    script = """
        import sys
        import jax, numpy as np
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_num_cpu_devices", 8)
        from scaling_jax.grids import grid
        from tests.test_grids import AXES, scenario

        mesh = jax.make_mesh((4, 2), ("a", "b"))
        shared, alone = grid(scenario, AXES, mesh=mesh), grid(scenario, AXES)
        assert jax.device_count() == 8
        for name, values in alone.values.items():
            assert np.array_equal(values, shared[name], equal_nan=True), name
        np.save(sys.argv[1], alone["dollars"])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "dollars.npy")]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(
        np.load(tmp_path / "dollars.npy"), grid(scenario, AXES)["dollars"]
    )


def assert_same(one, other):
    assert set(one.values) == set(other.values)
    for name, values in other.values.items():
        np.testing.assert_array_equal(np.asarray(one[name][...]), values, err_msg=name)


def test_dtypes_follow_the_axes():
    result = grid(lambda x: 2 * x, {"x": np.arange(5)})
    assert result["value"].dtype == (np.float64 if X64 else np.float32)
