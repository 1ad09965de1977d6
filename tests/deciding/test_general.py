"""Any law and any cost: decisions against dense searches on the same samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.deciding import decide, log_normal
from scaling_jax.deciding.blocks import joined
from tests.conftest import needs_x64
from tests.deciding import oracle
from tests.support import approx

pytestmark = needs_x64

LOSS = 2.1
RISKS = ["mean", "cvar", "regret"]
LEVEL = 0.7


class Fresh(sj.Law):
    """E + A / N^a + B / D'^b with D' = U (1 - e^(-D / U)): repeats are worth little."""

    E: laws.Floor
    A: laws.Positive
    B: laws.Positive

    def loss(self, params, tokens, *, unique):
        worth = -unique * jnp.expm1(-tokens / unique)
        return self.E + self.A / params**0.34 + self.B / worth**0.28


class Chips(sj.Cost):
    """Served by whole chips of so many parameters each."""

    unit = "flops"
    size: laws.Positive

    def __call__(self, params, tokens, demand):
        chips = jnp.ceil(params / self.size)
        return sj.Bill(train=6 * params * tokens, serve=2 * chips * self.size * demand.tokens)


def roofline(params, tokens, demand):
    """Memory below a size, arithmetic above it."""
    serve = jnp.maximum(2 * params, 5e9 + 0.5 * params) * demand.tokens
    return sj.Bill(train=6 * params * tokens, serve=serve)


def chinchilla(count: int, seed: int = 0) -> sj.Chinchilla:
    z = np.random.default_rng(seed).normal(size=(3, count))
    return sj.Chinchilla(
        E=1.69 + 0.02 * z[0],
        A=406.4 * np.exp(0.1 * z[1]),
        alpha=np.full(count, 0.336),
        B=410.7 * np.exp(0.1 * z[2]),
        beta=np.full(count, 0.283),
    )


def coupled(count: int, seed: int = 1) -> laws.Coupled:
    z = np.random.default_rng(seed).normal(size=(3, count))
    return laws.Coupled(
        E=1.5 + 0.02 * z[0],
        A=3e3 * np.exp(0.1 * z[1]),
        alpha=np.full(count, 0.4),
        B=2e4 * np.exp(0.1 * z[2]),
        beta=np.full(count, 0.43),
        k=np.full(count, 0.5),
    )


def demand(count: int) -> sj.Demand:
    return sj.Demand(output_tokens=log_normal(2e12, 5, samples=count))


def formulas_of(cost):
    """Return the cost of (N, D) and tokens served, written in NumPy."""
    if isinstance(cost, sj.Flops):
        return lambda n, d, served: 6 * n * d + 2 * n * served
    if isinstance(cost, Chips):
        size = float(cost.size)
        return lambda n, d, served: 6 * n * d + 2 * size * np.ceil(n / size) * served
    return lambda n, d, served: 6 * n * d + np.maximum(2 * n, 5e9 + 0.5 * n) * served


def cases_of(decision, cost) -> list[oracle.Case]:
    found, formula = [], formulas_of(cost)
    drawn = decision.problem.drawn
    for group, weights in zip(drawn.groups(), drawn.weights, strict=True):
        for i, weight in enumerate(weights):
            if isinstance(group.law, Fresh):
                loss, tokens = fresh(group, i)
            else:
                loss, tokens = oracle.power_sum(group.law, i)
            served = group.demand.output_tokens[i]
            cost_of = lambda n, d, served=served: formula(n, d, served)  # noqa: E731
            found.append(oracle.Case(loss, cost_of, tokens, weight))
    return found


def fresh(group, i):
    E, A, B = (getattr(group.law, name)[i] for name in "EAB")
    unique = group.axes["unique"][i]

    def tokens(n, loss):
        left = loss - E - A / n**0.34
        with np.errstate(invalid="ignore"):
            share = np.where(left > 0, (B / np.abs(left)) ** (1 / 0.28), np.inf) / unique
            return np.where(
                share < 1, -unique * np.log1p(-np.minimum(share, 1 - 1e-16)), np.inf
            )

    return lambda n, d: E + A / n**0.34 + B / (unique * -np.expm1(-d / unique)) ** 0.28, tokens


def prices(decision) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return J* and the prices of missing and of beating the target."""
    stacks = [joined(s.blocks, s.best.size) for s in decision.problem.rows.stacks]
    parts = [(each.best, each.over, each.under) for each in stacks]
    best, over, under = (np.concatenate(each) for each in zip(*parts, strict=True))
    return best, over, under


def check(decision, cost, risk, max_params=np.inf, max_tokens=np.inf, rel=1e-8):
    """Hold both commitments to dense searches over sizes, and over sizes and tokens."""
    cases = cases_of(decision, cost)
    best, over, under = prices(decision)
    weights = [case.weight for case in cases]

    def fixed(n, d):
        outcome = oracle.fixed(cases, n, d, LOSS, over, under)
        return oracle.risk(outcome, best, weights, risk, LEVEL)

    def adaptive(n):
        outcome = oracle.adaptive(cases, n, LOSS, max_tokens)
        return oracle.risk(outcome, best, weights, risk, LEVEL)

    model = decision.adaptive
    assert adaptive(np.array([model.params]))[0] == approx(model.risk, rel=rel)
    assert model.params <= max_params
    assert model.tokens_interval[1] <= max_tokens * (1 + 1e-12)
    for width in (2.0, 2e-2, 2e-4):
        sizes = model.params * np.exp(np.linspace(-width, width, 2001))
        dense = adaptive(sizes[sizes <= max_params])
        assert model.risk <= np.min(dense) * (1 + rel)
    model = decision.fixed
    assert fixed(model.params, model.tokens) == approx(model.risk, rel=rel)
    assert model.params <= max_params
    assert model.tokens <= max_tokens
    for width in (2.0, 2e-2, 2e-4):
        steps = np.exp(np.linspace(-width, width, 81))
        n = np.minimum(model.params * steps[:, None], max_params)
        d = np.minimum(model.tokens * steps[None, :], max_tokens)
        assert model.risk <= np.min(fixed(n, d)) * (1 + 1e-9)
    for model in (decision.adaptive, decision.fixed):
        assert model.regret >= 0


@pytest.mark.parametrize(
    ("cost", "risk", "certificate"),
    [
        (sj.Flops(), "mean", "convex"),
        pytest.param(sj.Flops(), "cvar", "convex", marks=pytest.mark.slow),
        pytest.param(Chips(size=2e9), "regret", "grid", marks=pytest.mark.slow),
        (roofline, "cvar", "grid"),
    ],
)
def test_a_mixture_of_two_families_against_a_dense_search(cost, risk, certificate):
    mixture = laws.Mixture(laws=(chinchilla(7), coupled(5)), weights=(1.0, 3.0))
    decision = decide(mixture, cost, demand(11), loss=LOSS, risk=risk, level=LEVEL)
    assert decision.samples == 22
    weights = decision.problem.drawn.weights
    assert [each.sum() for each in weights] == [approx(0.25), approx(0.75)]
    assert decision.adaptive.certificate == decision.fixed.certificate == certificate
    assert (decision.fixed.gap is None) == (certificate == "grid")
    check(decision, cost, risk)


@pytest.mark.parametrize("risk", ["cvar"])
def test_an_own_law_with_an_axis_against_a_dense_search(risk):
    z = np.random.default_rng(2).normal(size=(3, 9))
    law = Fresh(
        E=1.69 + 0.01 * z[0], A=406.4 * np.exp(0.05 * z[1]), B=410.7 * np.exp(0.05 * z[2])
    )
    unique = log_normal(3e11, 2, samples=9)
    decision = decide(
        law, sj.Flops(), demand(9), loss=LOSS, axes={"unique": unique}, risk=risk, level=LEVEL
    )
    assert decision.problem.drawn.uncertain == (("law", "demand", "unique"),)
    assert decision.adaptive.certificate == "grid"
    check(decision, sj.Flops(), risk, rel=1e-7)  # tokens grow without bound at a wall


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cost", "risk"),
    [(sj.Flops(), "regret"), (Chips(size=2e9), "cvar")],
)
def test_limits_are_kept_by_both_commitments(cost, risk):
    free = decide(chinchilla(9), cost, demand(9), loss=LOSS, risk=risk, level=LEVEL)
    for limits in ({"max_params": 0.7}, {"max_tokens": 0.7}):
        (name,) = limits
        value = limits[name] * getattr(free.adaptive, name[4:])
        given = {name: value}
        decision = decide(
            chinchilla(9), cost, demand(9), loss=LOSS, risk=risk, level=LEVEL, **given
        )
        assert decision.feasible == 9
        check(decision, cost, risk, **given)


def test_no_model_beats_a_sample_s_own_plan():
    stack = coupled(6)
    decision = decide(stack, Chips(size=2e9), demand(6), loss=LOSS)
    cases, (best, over, under) = cases_of(decision, Chips(size=2e9)), prices(decision)
    n = decision.adaptive.params * np.exp(np.linspace(-3, 3, 601))[:, None]
    d = decision.adaptive.tokens * np.exp(np.linspace(-3, 3, 601))[None, :]
    outcome = oracle.fixed(cases, n, d, LOSS, over, under)
    assert np.all(outcome.min(axis=(0, 1)) > best * (1 - 2e-2))
    assert np.all(over >= under)


@pytest.mark.parametrize("risk", RISKS)
def test_one_sample_is_plan_whatever_the_law_and_the_cost(risk):
    law = jax.tree.map(lambda leaf: leaf[0], coupled(1))
    served = sj.Demand(output_tokens=2e12)
    decision = decide(law, Chips(size=2e9), served, loss=LOSS, risk=risk)
    plan = sj.plan(law, Chips(size=2e9), served, loss=LOSS)
    for model in (decision.adaptive, decision.fixed):
        assert model.params == approx(plan.params, rel=1e-9)
        assert model.tokens == approx(plan.tokens, rel=1e-9)
        assert model.expected == approx(plan.total_cost, rel=1e-9)
        assert model.worst_regret <= 1e-9 * float(plan.total_cost)
        assert (model.gap, model.reaches) == (None, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("risk", ["mean", "cvar"])
def test_a_convex_decision_is_the_same_by_either_search(risk, monkeypatch):
    stack = coupled(8)
    for target in ({"loss": LOSS}, {"budget": 3e22}):
        certified = decide(stack, sj.Flops(), demand(8), risk=risk, level=LEVEL, **target)
        with monkeypatch.context() as patch:
            patch.setattr("scaling_jax.deciding.problem.outcomes_are_convex", lambda *_: False)
            searched = decide(stack, sj.Flops(), demand(8), risk=risk, level=LEVEL, **target)
        for kind in ("adaptive", "fixed"):
            one, other = getattr(certified, kind), getattr(searched, kind)
            assert (one.certificate, other.certificate) == ("convex", "grid")
            assert other.risk == approx(one.risk, rel=1e-8)
            assert other.params == approx(one.params, rel=1e-3)
            assert other.value_of == {
                name: approx(value, rel=1e-4, abs=1e-7 * abs(certified.expected_optimum))
                for name, value in one.value_of.items()
            }


def test_what_a_plain_function_closes_over_is_looked_up_at_every_call():
    price = 1.0

    def cost(params, tokens, demand):
        return sj.Bill(train=6 * params * tokens, serve=price * params * demand.tokens)

    first = decide(chinchilla(3), cost, demand(3), loss=LOSS)
    price = 20.0
    second = decide(chinchilla(3), cost, demand(3), loss=LOSS)
    assert second.adaptive.params < 0.7 * first.adaptive.params


def test_a_target_that_is_matched_law_by_law():
    stack, served = chinchilla(9), demand(9)
    decision = decide(stack, sj.Flops(), served, match_params=7e9)
    optimal = stack.compute_optimal(params=7e9)
    goal = np.asarray(stack(7e9, optimal.tokens))
    assert np.ptp(goal) > 0.01
    np.testing.assert_allclose(decision.problem.rows.goal[0], goal, rtol=1e-12)
    sizes = decision.adaptive.params * np.exp(np.linspace(-1, 1, 4001))
    cost = [
        6 * sizes * oracle.power_sum(stack, i)[1](sizes, goal[i]) + 2 * sizes * served.tokens[i]
        for i in range(9)
    ]
    assert decision.adaptive.risk <= np.mean(cost, axis=0).min() * (1 + 1e-9)
    assert decision.adaptive.risk == approx(np.mean(cost, axis=0).min(), rel=1e-6)
    tokens = decide(stack, sj.Flops(), served, match_params=7e9, match_tokens=1e11)
    np.testing.assert_allclose(
        tokens.problem.rows.goal[0], np.asarray(stack(7e9, 1e11)), rtol=1e-12
    )
