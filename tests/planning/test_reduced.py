"""The reduced planner against the exact one, against brute force, and at its own limits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.laws import HOFFMANN_2022 as LAW
from tests.conftest import needs_x64
from tests.planning import brute
from tests.support import approx

pytestmark = needs_x64

OUTPUTS = ("params", "tokens", "loss", "total_cost", "marginal_cost")


def plain_flops(params, tokens, demand):
    """The cost of `Flops` as a function, which hides that it is linear."""
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens)


def scenarios(count, seed):
    rng = np.random.default_rng(seed)
    law = sj.Chinchilla(
        E=rng.uniform(1.4, 1.9, count),
        A=rng.uniform(200, 600, count),
        alpha=rng.uniform(0.28, 0.38, count),
        B=rng.uniform(200, 1500, count),
        beta=rng.uniform(0.26, 0.38, count),
    )
    demand = sj.Demand(output_tokens=10 ** rng.uniform(8, 15, count))
    best = law.compute_optimal(params=10 ** rng.uniform(8, 12, count))
    size, data = np.asarray(best.params), np.asarray(best.tokens)
    spread = 10 ** rng.uniform(-0.4, 0.8, (2, count))
    return law, demand, size, data, spread


@pytest.mark.parametrize("target", ["loss", "budget"])
@pytest.mark.parametrize("limits", ["none", "both", "fixed"])
def test_against_the_exact_planner(target, limits):
    law, demand, size, data, spread = scenarios(3_400, seed=len(target))
    if target == "loss":
        query = {"loss": np.asarray(law(size, data))}
    else:
        query = {"budget": np.asarray(sj.Flops()(size, data, demand).total) * 2}
    if limits == "both":
        query |= {"max_params": size * spread[0], "max_tokens": data * spread[1]}
    if limits == "fixed":
        name = "params" if target == "loss" else "tokens"
        query |= {name: (size if target == "loss" else data) * np.maximum(spread[0], 0.9)}
    exact = sj.plan(law, sj.Flops(), demand, **query)
    reduced = sj.plan(law, plain_flops, demand, **query)
    assert (exact.method, reduced.method) == ("exact", "reduced")
    np.testing.assert_array_equal(reduced.status, exact.status)
    some = np.asarray(exact.status) == 0
    assert some.mean() > 0.3
    np.testing.assert_array_equal(
        np.asarray(reduced.limit)[some], np.asarray(exact.limit)[some]
    )
    for name in ("params", "tokens", "loss", "total_cost"):
        for one, other in ((reduced, exact), (reduced.baseline, exact.baseline)):
            got, wanted = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
            np.testing.assert_allclose(got[some], wanted[some], rtol=1e-11)
    got, wanted = np.asarray(reduced.marginal_cost), np.asarray(exact.marginal_cost)
    np.testing.assert_allclose(got[some], wanted[some], rtol=1e-9)


@pytest.mark.parametrize(
    "query",
    [{"loss": 1.95}, pytest.param({"budget": 4.8e23}, marks=pytest.mark.slow)],
    ids=str,
)
def test_derivatives_against_the_exact_planner(query):
    ((name, value),) = query.items()

    def outputs(cost, law, tokens, value):
        plan = sj.plan(law, cost, sj.Demand(output_tokens=tokens), **{name: value})
        return jnp.stack([jnp.log(jnp.abs(getattr(plan, each))) for each in OUTPUTS])

    point = (jax.tree.map(jnp.asarray, LAW), jnp.asarray(2e12), jnp.asarray(value))
    for transform in (jax.jacrev, jax.jacfwd):
        first = [
            jax.jit(transform(functools.partial(outputs, cost), (0, 1, 2)))(*point)
            for cost in (sj.Flops(), plain_flops)
        ]
        for one, other in zip(*map(jax.tree.leaves, first), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12 * np.max(np.abs(one)))
    second = [
        jax.jit(jax.grad(jax.grad(lambda d, c=cost: outputs(c, point[0], d, point[2])[0])))(
            2e12
        )
        for cost in (sj.Flops(), plain_flops)
    ]
    assert second[1] == approx(second[0], rel=1e-7)


KINDS = [
    ("coupled", "smooth", ("loss",)),
    ("coupled", "chips", ("loss", "max_params")),
    ("ratio", "roofline", ("loss", "max_params", "max_tokens")),
    ("wiggle", "smooth", ("loss",)),
    ("wiggle", "chips", ("loss",)),
    ("damage", "two_minima", ("budget", "max_params")),
    ("damage", "doubled", ("budget",)),
    ("capped", "per_token", ("budget", "max_tokens")),
    ("coupled", "two_minima", ("loss",)),
]


def compare_with_brute_force(law, cost, names, count, seed):
    """Return, per scenario, the plan's objective, the best by brute force, and the status."""
    rng = np.random.default_rng(seed)
    drawn = [brute.coefficients(law, rng) for _ in range(count)]
    n = 10 ** rng.uniform(8.5, 11, count)
    d = 20 * n * 10 ** rng.uniform(-0.3, 1.0, count)
    demand = 10 ** rng.uniform(10, 14.5, count)
    query = {}
    if "loss" in names:
        each = zip(drawn, n, d, strict=True)
        query["loss"] = np.array([brute.LAWS[law](p, a, b, np) for p, a, b in each])
    else:
        query["budget"] = np.asarray(sum(brute.COSTS[cost](n, d, demand, np)))
    if "max_params" in names:
        query["max_params"] = n * 10 ** rng.uniform(-0.5, 0.7, count)
    if "max_tokens" in names:
        query["max_tokens"] = d * 10 ** rng.uniform(-0.5, 0.7, count)
    stacked = {key: np.array([p[key] for p in drawn]) for key in drawn[0]}
    kind = law_class(law, tuple(stacked))

    def bill(params, tokens, demand):
        train, serve = brute.COSTS[cost](params, tokens, demand.tokens, jnp)
        return sj.Bill(train=train, serve=serve)

    plan = sj.plan(kind(**stacked), bill, sj.Demand(output_tokens=demand), **query)
    got = np.asarray(plan.total_cost if "loss" in names else plan.loss)
    rows = [{key: float(x[i]) for key, x in query.items()} for i in range(count)]
    wanted = np.array(
        [
            brute.best(law, p, cost, t, **row)
            for p, t, row in zip(drawn, demand, rows, strict=True)
        ]
    )
    return got, wanted, np.asarray(plan.status)


@functools.cache
def law_class(name, fields):
    """Return a law of one's own with the formula of the oracle."""

    def loss(self, params, tokens):
        return brute.LAWS[name](vars(self), params, tokens, jnp)

    body = {"__annotations__": dict.fromkeys(fields, sj.Positive), "loss": loss}
    return type(name, (sj.Law,), body)


# The others too, and many more scenarios: benchmarks/plan_nonlinear.py brute 2000.
@pytest.mark.parametrize(("law", "cost", "names"), [*KINDS[1:-1:2], KINDS[2]], ids=str)
def test_against_brute_force(law, cost, names):
    got, wanted, status = compare_with_brute_force(law, cost, names, count=10, seed=5)
    assert np.isfinite(wanted).mean() > 0.3
    np.testing.assert_array_equal(status == 0, np.isfinite(wanted))
    some = status == 0
    tolerance = 1e-6 if cost in brute.STEPPED else 1e-9
    assert np.max(got[some] / wanted[some]) < 1 + tolerance
