"""Plans inside the programs of people who use JAX: transformed, sharded, typed, looked up."""

import dataclasses
import importlib.util
import pydoc
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from tests.conftest import X64, needs_x64
from tests.support import approx

ROOT = Path(__file__).parents[1]
needs_reduced = pytest.mark.skipif(
    importlib.util.find_spec("scaling_jax.planning.curves") is None,
    reason="the reduced planner is not here yet",
)
LAW, COST = sj.laws.HOFFMANN_2022, sj.Flops()
LOSSES = np.linspace(1.9, 2.5, 7)
TOKENS = np.geomspace(1e10, 1e14, 7)


def plan(law, loss, tokens):
    return sj.plan(law, COST, sj.Demand(output_tokens=tokens), loss=loss)


def log_cost(law, loss, tokens):
    return jnp.log(plan(law, loss, tokens).total_cost)


def arrays():
    return jnp.asarray(LOSSES), jnp.asarray(TOKENS)


def test_every_transformation_gives_the_same_plans(rtol):
    losses, tokens = arrays()
    one_by_one = [float(plan(LAW, *each).params) for each in zip(LOSSES, TOKENS, strict=True)]

    def step(before, point):
        now = plan(LAW, *point)
        return now, (now.params, before.params)

    ways = {
        "batch": plan(LAW, losses, tokens).params,
        "jit": jax.jit(plan)(LAW, losses, tokens).params,
        "vmap": jax.vmap(plan, (None, 0, 0))(LAW, losses, tokens).params,
        "map": jax.lax.map(lambda point: plan(LAW, *point).params, (losses, tokens)),
        "scan": jax.lax.scan(step, plan(LAW, losses[0], tokens[0]), (losses, tokens))[1][0],
        "cond": jax.vmap(
            lambda loss, d: jax.lax.cond(
                loss > 2.2, lambda: plan(LAW, loss, d), lambda: plan(LAW, 1 * loss, d)
            )
        )(losses, tokens).params,
        "remat": jax.checkpoint(lambda: plan(LAW, losses, tokens))().params,
    }
    for name, found in ways.items():
        np.testing.assert_allclose(found, one_by_one, rtol=10 * rtol, err_msg=name)


@needs_x64
def test_every_derivative_is_that_of_differences():
    losses, tokens = arrays()
    total = lambda law: log_cost(law, losses, tokens).sum()  # noqa: E731
    gradient = jax.grad(total)(LAW)
    for name, value in vars(LAW).items():
        h = 1e-5 * value
        up, down = (total(dataclasses.replace(LAW, **{name: value + s * h})) for s in (1, -1))
        assert getattr(gradient, name) == approx((up - down) / (2 * h), rel=1e-6)
    forward, reverse = (way(total)(LAW) for way in (jax.jacfwd, jax.jacrev))
    np.testing.assert_allclose(jax.tree.leaves(forward), jax.tree.leaves(reverse), rtol=1e-12)
    point = jnp.array([2.1, 1e12])
    hessian = jax.hessian(lambda x: log_cost(LAW, x[0], x[1]))(point)
    across = jax.jacrev(jax.jacfwd(lambda x: log_cost(LAW, x[0], x[1])))(point)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9)
    np.testing.assert_allclose(hessian, across, rtol=1e-9)


@needs_reduced
def test_a_scenario_without_a_plan_is_set_aside_by_where():
    """As `Plan.status` documents it: the law that all scenarios share keeps its gradient."""
    losses = jnp.array([1.5, 2.1, 2.4])  # the law's floor is 1.69
    tokens = jnp.array([1e12, 1e12, 1e13])

    def total(law, chosen):
        found = plan(law, losses[chosen], tokens[chosen])
        cost = jnp.where(found.status == 0, found.total_cost, 1.0)
        return jnp.log(cost).sum()

    all_of_them, feasible = jnp.arange(3), jnp.arange(1, 3)
    assert total(LAW, all_of_them) == approx(total(LAW, feasible))
    gradients = [jax.grad(total)(LAW, each) for each in (all_of_them, feasible)]
    one, other = map(jax.tree.leaves, gradients)
    np.testing.assert_allclose(one, other, rtol=1e-10 if X64 else 1e-4)
    naive = jax.grad(lambda law: jnp.log(plan(law, losses, tokens).total_cost).sum())(LAW)
    assert all(np.isnan(leaf) for leaf in jax.tree.leaves(naive))  # not silently wrong


def test_32_bit_arrays_stay_so_beside_python_numbers():
    losses, tokens = np.float32(LOSSES), np.float32(TOKENS)
    found = jax.jit(plan)(LAW, losses, tokens)
    numbers = [x for x in jax.tree.leaves(found) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert {x.dtype for x in numbers} == {np.dtype(np.float32)}
    exact = plan(LAW, LOSSES, TOKENS)
    np.testing.assert_allclose(found.params, exact.params, rtol=2e-4)
    np.testing.assert_allclose(found.total_cost, exact.total_cost, rtol=2e-4)


def test_buffers_may_be_donated():
    losses, tokens = arrays()
    expected = plan(LAW, losses, tokens).params
    donated = jax.jit(lambda law, loss, d: plan(law, loss, d).params, donate_argnums=(1, 2))
    with warnings.catch_warnings():  # one result, so that one of the two buffers is not used
        warnings.simplefilter("ignore")
        found = donated(LAW, losses, tokens)
    np.testing.assert_allclose(found, expected, rtol=1e-12 if X64 else 1e-5)
    assert losses.is_deleted() or tokens.is_deleted()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Candidate:
    """A record of a user's own, which holds a plan and a law."""

    chosen: sj.Plan
    law: sj.Law
    price: float
    name: str = dataclasses.field(metadata={"static": True})


def test_a_plan_may_be_a_field_of_a_users_record(rtol):
    losses, tokens = arrays()

    @jax.jit
    def candidates(losses, tokens):
        return jax.vmap(lambda l, d: Candidate(plan(LAW, l, d), LAW, 2.0 * l, "ours"))(  # noqa: E741
            losses, tokens
        )

    found = candidates(losses, tokens)
    assert isinstance(found.chosen, sj.Plan)
    assert (found.name, found.chosen.params.shape) == ("ours", (7,))
    best = int(jnp.argmin(found.chosen.total_cost))
    cheapest = jax.tree.map(lambda leaf: leaf[best], found)
    again = plan(cheapest.law, cheapest.chosen.loss, tokens[best])
    assert cheapest.chosen.total_cost == approx(again.total_cost, rel=100 * rtol)
    flat, structure = jax.tree.flatten(found)
    assert jax.tree.unflatten(structure, flat).chosen.limit.dtype == np.int32


MESHES = """
    import faulthandler, sys
    faulthandler.dump_traceback_later(240, exit=True)  # a hang is told where it is
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import AxisType
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", 8)
    import scaling_jax as sj

    P, Auto, Explicit = jax.P, AxisType.Auto, AxisType.Explicit
    law, cost = sj.laws.HOFFMANN_2022, sj.Flops()
    n = 16
    losses, tokens = np.linspace(1.9, 2.4, n), np.geomspace(1e10, 1e14, n)

    def exact(loss, d, law=law):
        return sj.plan(law, cost, sj.Demand(output_tokens=d), loss=loss)

    def dear(params, d, demand):
        bill = cost(params, d, demand)
        return sj.Bill(train=bill.train, serve=bill.serve * (1 + params / 1e11))

    def own(loss, d, law=law):
        return sj.plan(law, dear, sj.Demand(output_tokens=d), loss=loss)

    def check(name, found, expected, rtol=1e-9):
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol, err_msg=name)
        print(name, flush=True)
"""

SHARDED = """
    meshes = {
        "explicit": jax.make_mesh((8,), ("a",)),
        "auto": jax.make_mesh((8,), ("a",), axis_types=(Auto,)),
        "two": jax.make_mesh((4, 2), ("a", "b")),
        "mixed": jax.make_mesh((4, 2), ("a", "b"), axis_types=(Auto, Explicit)),
    }
    kinds = {"exact": exact, "own": own}
    for kind in sys.argv[1:]:
        f = kinds[kind]
        v = f if kind == "exact" else jax.vmap(f)
        total = lambda law, loss, d: jnp.log(
            jax.vmap(lambda l, t: f(l, t, law))(loss, d).total_cost).sum()
        expected = jax.jit(v)(losses, tokens)
        slopes = jax.jit(jax.grad(total))(law, losses, tokens)
        for name, mesh in meshes.items():
            if kind != "exact" and name in ("two", "mixed"):
                continue  # the same code
            split = P(tuple(a for a in mesh.axis_names if name != "mixed" or a == "b"))
            put = lambda x: jax.device_put(x, jax.NamedSharding(mesh, split))
            each = put(losses), put(tokens)
            check(f"{kind} {name} jit", jax.jit(v)(*each), expected)
            if name == "explicit":
                assert jax.typeof(jax.jit(v)(*each).params).sharding.spec == split
            with jax.set_mesh(mesh):
                check(f"{kind} {name} set_mesh", jax.jit(v)(*each), expected)
                gradient = jax.jit(jax.grad(total))(law, *each)
                check(f"{kind} {name} gradient", gradient, slopes)
                check(f"{kind} {name} eager", v(*each), expected)
            whole = P(mesh.axis_names)
            put = lambda x: jax.device_put(x, jax.NamedSharding(mesh, whole))
            each = put(losses), put(tokens)
            inside = jax.shard_map(v, mesh=mesh, in_specs=(whole, whole), out_specs=whole)
            check(f"{kind} {name} shard_map", jax.jit(inside)(*each), expected)
            shared = jax.shard_map(
                lambda law, loss, d: jax.lax.psum(total(law, loss, d), mesh.axis_names),
                mesh=mesh, in_specs=(P(), whole, whole), out_specs=P())
            gradient = jax.jit(jax.grad(shared))(law, *each)
            check(f"{kind} {name} shard_map gradient", gradient, slopes)
"""

GRIDS = """
    def bits(params, d, demand, *, slack):
        bill = cost(params, d, demand)
        return sj.Bill(train=bill.train * (2 - slack), serve=bill.serve * (1 + slack**2))

    def chosen(loss, d, laws):
        return sj.plan(
            laws, bits, sj.Demand(output_tokens=d), loss=loss, choices={"slack": (0.1, 1.0)})

    laws = [law, sj.laws.BESIROGLU_2024]
    axes = {"loss": [1.9, 2.1, 2.3], "d": "1e10:1e13:5:log", "laws": laws}
    for types in ((Explicit, Explicit), (Auto, Auto), (Auto, Explicit)):
        mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=types)
        split = jax.device_put(np.linspace(2.0, 2.4, 8), jax.NamedSharding(mesh, P("a")))
        given = {"loss": split, "d": axes["d"]}
        for name, f in {"exact": exact, "chosen": chosen}.items():
            if name == "chosen" and types != (Explicit, Explicit):
                continue  # the same program but for the mesh
            points = axes if name == "chosen" else given
            shared, alone = (sj.grid(f, points, mesh=each) for each in (mesh, None))
            with jax.set_mesh(mesh):
                within = sj.grid(f, points, mesh=mesh)
            assert set(shared.values) == set(alone.values)
            for value in alone.values:
                for other in (shared, within):
                    np.testing.assert_allclose(
                        other[value], alone[value], rtol=1e-13, err_msg=value)
            assert (alone["status"] == 0).all()
            print(name, types, flush=True)
"""


def on_eight_devices(script: str, *arguments: str) -> str:
    text = textwrap.dedent(MESHES) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_x64
def test_exact_plans_on_meshes_of_every_kind():
    assert len(on_eight_devices(SHARDED, "exact").splitlines()) == 4 * 6


@pytest.mark.slow
@needs_reduced
@needs_x64
def test_other_plans_on_meshes():
    assert len(on_eight_devices(SHARDED, "own").splitlines()) == 2 * 6


@pytest.mark.slow
@needs_reduced
@needs_x64
def test_grids_on_meshes_of_every_kind_with_choices_and_records():
    """On eight devices of one CPU a batch that waits for its own threads would hang."""
    assert len(on_eight_devices(GRIDS).splitlines()) == 4


USER_CODE = '''
import dataclasses

import jax
import jax.numpy as jnp

import scaling_jax as sj


class Floorless(sj.Law):
    """A / (N D)^alpha."""

    A: sj.Positive
    alpha: sj.Exponent

    def loss(self, params, tokens):
        return self.A / (params * tokens) ** self.alpha


def gpu_hours(params, tokens, demand: sj.Demand) -> sj.Bill:
    return sj.Bill(train=params * tokens, serve=params * demand.tokens)


demand = sj.Demand(output_tokens=1e12)
plan = sj.plan(sj.laws.HOFFMANN_2022, sj.Flops(), demand, loss=1.947)
other = sj.plan(Floorless(A=10.0, alpha=0.04), gpu_hours, demand, loss=jnp.asarray(1.6))
size: jax.Array = plan.params / other.params
shape = sj.shape_for(plan.params, vocab_size=256)
law = dataclasses.replace(sj.laws.HOFFMANN_2022, E=1.5)
grid = sj.grid(lambda loss: sj.plan(law, sj.Flops(), demand, loss=loss), {"loss": [2.0, 2.1]})
best = grid.sel(loss=2.0)["params"]
slope = jax.grad(lambda d: sj.plan(law, sj.Flops(), d, loss=2.0).params)(demand)
reveal_type(plan)
reveal_type(sj.fit)
'''


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="no pyright")
def test_a_type_checker_takes_a_users_code(tmp_path):
    (tmp_path / "mine.py").write_text(USER_CODE)
    config = f'{{"extraPaths": ["{ROOT}"], "typeCheckingMode": "standard"}}'
    (tmp_path / "pyrightconfig.json").write_text(config)
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    if "error" in done.stdout and "node" in done.stderr:
        pytest.skip("pyright has no node here")
    assert "0 errors" in done.stdout, done.stdout
    assert 'Type of "plan" is "Plan"' in done.stdout


@pytest.mark.parametrize("name", ["plan", "grid", "Law", "Plan", "shape_for"])
def test_help_is_free_of_junk(name):
    """Annotations are told as they are written, and no object by its address."""
    text = pydoc.plain(pydoc.render_doc(getattr(sj, name)))
    assert getattr(sj, name).__doc__.splitlines()[0] in text
    shown = text.split("Data and other attributes")[0]
    assert "_jax.Array | numpy.ndarray" not in shown
    assert "object at 0x" not in text
