"""Samples without a plan: they count as shortfalls, or are dropped and said to be."""

import jax
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.deciding import decide, log_normal
from tests.conftest import needs_x64
from tests.deciding import oracle
from tests.deciding.test_general import Chips, formulas_of
from tests.support import approx

pytestmark = needs_x64

LOSS, LEVEL = 1.95, 0.8


def laws_with_floors(count: int = 10, above: int = 3) -> sj.Chinchilla:
    """Return laws of which some can never reach the loss."""
    floors = np.append(np.linspace(1.6, 1.72, count - above), np.linspace(1.97, 2.05, above))
    ones = np.ones(count)
    return sj.Chinchilla(E=floors, A=406.4 * ones, alpha=0.336 * ones, B=410.7 * ones,
                         beta=0.283 * ones)  # fmt: skip


def demand() -> sj.Demand:
    return sj.Demand(output_tokens=log_normal(2e12, 3, samples=10))


@pytest.mark.parametrize(
    ("cost", "risk"),
    [(sj.Flops(), "mean"), (sj.Flops(), "regret"), (Chips(size=4e9), "cvar")],
)
def test_shortfalls_against_a_dense_search(cost, risk):
    stack, served, formula = laws_with_floors(), demand(), formulas_of(cost)
    decision = decide(stack, cost, served, loss=LOSS, risk=risk, level=LEVEL)
    assert (decision.samples, decision.feasible) == (10, 7)
    assert decision.feasible_share == approx(0.7)
    price = decision.problem.pricing.fallback
    both = [oracle.power_sum(stack, i) for i in range(10)]
    tokens = served.output_tokens

    # The best compromise of each sample that falls short, by brute force over (N, D).
    n, d = np.exp(np.linspace(20, 30, 1501))[:, None], np.exp(np.linspace(22, 34, 1501))
    best = np.array(
        [formula(n, d, tokens[i]) + price * (both[i][0](n, d) - LOSS) for i in range(7, 10)]
    ).min(axis=(1, 2))
    found = np.sort(decision.problem.rows.best[0][7:])
    np.testing.assert_allclose(found, np.sort(best), rtol=1e-3)  # steps lie between its points
    assert np.all(found <= np.sort(best) * (1 + 1e-9))

    def outcomes(sizes):
        columns = []
        for i, (loss, needed) in enumerate(both):
            if i < 7:
                columns.append(formula(sizes, needed(sizes, LOSS), tokens[i]))
            else:
                dense = np.exp(np.linspace(20, 36, 4001))[:, None]
                short = formula(sizes, dense, tokens[i]) + price * (loss(sizes, dense) - LOSS)
                columns.append(short.min(axis=0))
        return np.stack(columns, axis=-1)

    stars = decision.problem.rows.best[0]
    model = decision.adaptive
    at = oracle.risk(outcomes(np.array([model.params])), stars, np.ones(10), risk, LEVEL)
    assert at[0] == approx(model.risk, rel=1e-5)
    sizes = model.params * np.exp(np.linspace(-1.5, 1.5, 401))
    dense = oracle.risk(outcomes(sizes), stars, np.ones(10), risk, LEVEL)
    assert model.risk <= dense.min() * (1 + 1e-9)
    assert decision.adaptive.reaches == approx(0.7)
    assert decision.fixed.reaches <= 0.7
    assert min(decision.adaptive.regret, decision.fixed.regret) >= 0


def test_dropping_says_so_and_does_not_count_as_reaching():
    stack, served = laws_with_floors(), demand()
    kept = jax.tree.map(lambda leaf: leaf[:7], stack)
    few = sj.Demand(output_tokens=served.output_tokens[:7])
    dropped = decide(stack, sj.Flops(), served, loss=LOSS, infeasible="drop", risk="cvar")
    alone = decide(kept, sj.Flops(), few, loss=LOSS, risk="cvar")
    assert (dropped.infeasible, dropped.samples, dropped.feasible) == ("drop", 10, 7)
    assert dropped.plans.params.shape == (7,)
    for kind in ("adaptive", "fixed"):
        one, other = getattr(dropped, kind), getattr(alone, kind)
        assert one.params == approx(other.params, rel=1e-12)
        assert one.risk == approx(other.risk, rel=1e-12)
        assert one.value_of == {name: approx(v) for name, v in other.value_of.items()}
        assert one.reaches == approx(0.7 * other.reaches)
    assert dropped.break_even == alone.break_even


def test_what_falls_short_is_not_quietly_better():
    """Thirty of a hundred laws with a floor above the loss: a cautious risk must notice."""
    stack, served = laws_with_floors(100, above=30), sj.Demand.of_tokens(2e12)
    chosen = {
        name: decide(stack, sj.Flops(), served, loss=LOSS, risk="cvar", infeasible=name)
        for name in ("shortfall", "drop")
    }
    for decision in chosen.values():
        assert (decision.samples, decision.feasible) == (100, 70)
        assert decision.adaptive.reaches == approx(0.7)
    assert chosen["shortfall"].adaptive.risk > 1.2 * chosen["drop"].adaptive.risk


def test_limits_make_shortfalls_too():
    stack, served = laws_with_floors(10, above=0), demand()
    tokens = decide(stack, sj.Flops(), served, loss=LOSS).intervals["tokens"]
    limit = 0.5 * sum(tokens)
    params = decide(stack, sj.Flops(), served, loss=LOSS).medians["params"]
    decision = decide(
        stack, sj.Flops(), served, loss=LOSS, max_params=params, max_tokens=0.3 * limit
    )
    assert 0 < decision.feasible < 10
    for model in (decision.adaptive, decision.fixed):
        assert model.params <= params * (1 + 1e-12)
        assert model.tokens_interval[1] <= 0.3 * limit * (1 + 1e-12)
        assert model.certificate == "convex"
    assert decision.adaptive.reaches == approx(decision.feasible / 10)


def test_no_sample_with_a_plan_is_refused():
    for infeasible in ("shortfall", "drop"):
        with pytest.raises(sj.PlanError, match="none of the 10 samples has a plan for loss"):
            decide(laws_with_floors(), sj.Flops(), demand(), loss=1.5, infeasible=infeasible)
    with pytest.raises(sj.PlanError, match="above the law's floor"):
        decide(sj.laws.HOFFMANN_2022, sj.Flops(), sj.Demand.of_tokens(1e12), loss=1.5)
