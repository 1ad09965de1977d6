"""Every number of the paper's planning results, and the reference code's golden values."""

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.laws import HOFFMANN_2022 as LAW
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

SUFFIX = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def parse(text: str) -> tuple[float, float]:
    """Return the value of a printed number and the weight of its last digit."""
    scale = SUFFIX.get(text[-1], 1.0)
    mantissa, _, exponent = text.strip("$KMBT").partition("e")
    scale *= 10.0 ** int(exponent or 0)
    decimals = len(mantissa.partition(".")[2])
    return float(mantissa) * scale, 10.0**-decimals * scale


def assert_printed(value: object, text: str, digits: float = 0.5) -> None:
    """Assert that a value rounds to what is printed (or misses by so many last digits)."""
    printed, last = parse(text)
    assert abs(float(value) - printed) <= digits * last, f"{value} is printed as {text}"  # pyright: ignore


def matched(params: float) -> object:
    """Return the loss of the Chinchilla-style model of a size."""
    best = LAW.compute_optimal(params=params)
    return LAW(best.params, best.tokens)


def paper_dollars(serve_factor: float = 1.0) -> sj.Dollars:
    return sj.Dollars(
        train=sj.TrainFleet.of("A100-80GB", "bf16", mfu=0.5),
        serve=sj.ServeFleet.of(
            "A100-40GB",
            "int8",
            dollars_per_hour=1.10 * serve_factor,
            prefill_mfu=0.5,
            decode_mfu=0.01,
        ),
    )


# Inference tokens, loss, then N, D, FLOPs of the baseline and of the optimum, reduction in
# per cent and the points it may miss. The paper misprints 633M as 6.33M, and its 9.1 % is
# 9.014 % by its own formulas.
TABLE_2 = [
    (50e9, "2.53", "1B", "27.4B", "2.64e20", "633M", "46.8B", "2.41e20", 9.1, 0.2),
    (200e9, "2.13", "7B", "276B", "1.44e22", "5.4B", "367B", "1.40e22", 2.6, 0.05),
    (1e12, "2.05", "13B", "577B", "7.10e22", "8.32B", "967B", "6.49e22", 8.5, 0.05),
    (5e12, "1.96", "30B", "1.56T", "5.80e23", "16.4B", "3.27T", "4.86e23", 16, 0.5),
    (10e12, "1.89", "70B", "4.26T", "3.19e24", "41.6B", "7.92T", "2.81e24", 12, 0.5),
]


@pytest.mark.parametrize("row", TABLE_2, ids=[row[2] for row in TABLE_2])
def test_table_2(row):
    demand, loss, base_n, base_d, base_flops, n, d, flops, reduction, slack = row
    plan = sj.plan(
        LAW, sj.Flops(), sj.Demand(output_tokens=demand), loss=matched(parse(base_n)[0])
    )
    assert_printed(plan.loss, loss)
    assert_printed(plan.baseline.params, base_n)
    # Three entries are rounded twice or cut: 4.2547e12 is printed 4.26T, 3.26498e12 is
    # printed 3.27T, 2.6458e20 is printed 2.64e20.
    assert_printed(plan.baseline.tokens, base_d, digits=0.6)
    assert_printed(plan.baseline.total_cost, base_flops, digits=0.6)
    assert_printed(plan.params, n)
    assert_printed(plan.tokens, d, digits=0.51)
    assert_printed(plan.total_cost, flops)
    assert 100 * plan.saving == approx(reduction, abs=slack)


RECOMPUTED_2 = [
    (50e9, 1e9, 2.645803e20, 6.325499e8, 4.676176e10, 2.407299e20),
    (200e9, 7e9, 1.441030e22, 5.399567e9, 3.665751e11, 1.403591e22),
    (1e12, 13e9, 7.096587e22, 8.322758e9, 9.669195e11, 6.493014e22),
    (5e12, 30e9, 5.800622e23, 1.641244e10, 3.264975e12, 4.856417e23),
    (10e12, 70e9, 3.186991e24, 4.155134e10, 7.922503e12, 2.806170e24),
]


@pytest.mark.parametrize("row", RECOMPUTED_2)
def test_table_2_recomputed(row):
    demand, size, *expected = row
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(input_tokens=demand), loss=matched(size))
    found = plan.baseline.total_cost, plan.params, plan.tokens, plan.total_cost
    np.testing.assert_allclose(found, expected, rtol=1e-6)


TABLE_3 = [
    ("1B", 50e9, "$3.77K", "327M", "152B", "$1.89K", 50),
    ("7B", 200e9, "$124K", "2.90B", "929B", "$81.8K", 34),
    ("13B", 1e12, "$987K", "4.30B", "3.1T", "$500K", 49),
    ("30B", 5e12, "$10.8M", "8.58B", "12.1T", "$4.52M", 58),
    ("70B", 10e12, "$51.5M", "21.5B", "27T", "$23.8M", 54),
]


@pytest.mark.parametrize("row", TABLE_3, ids=[row[0] for row in TABLE_3])
def test_table_3_as_printed_needs_a_serving_factor_of_0_897(row):
    """The printed costs follow from the printed settings only with serving at 0.897 of its
    price; that factor is fitted, so the last printed digit may move by one."""
    size, tokens, base_cost, n, d, cost, saving = row
    demand = sj.Demand.of_requests(tokens / 285)
    plan = sj.plan(LAW, paper_dollars(0.897), demand, loss=matched(parse(size)[0]))
    assert_printed(plan.baseline.total_cost, base_cost, digits=1)
    assert_printed(plan.params, n, digits=1)
    assert_printed(plan.tokens, d, digits=1)
    assert_printed(plan.total_cost, cost, digits=1)
    assert 100 * plan.saving == approx(saving, abs=1.0)


STATED_3 = [
    (1e9, 1.75439e8, 4157.66, 3.181338e8, 1.622536e11, 2010.06),
    (7e9, 7.01754e8, 135116, 2.815260e9, 9.826407e11, 86202.5),
    (13e9, 3.50877e9, 1.08680e6, 4.185383e9, 3.313146e12, 533455),
    (30e9, 1.75439e10, 1.19023e7, 8.377359e9, 1.292609e13, 4.85012e6),
    (70e9, 3.50877e10, 5.68260e7, 2.097560e10, 2.924193e13, 2.54274e7),
]


@pytest.mark.parametrize("row", STATED_3)
def test_table_3_at_the_stated_prices(row):
    size, requests, *expected = row
    plan = sj.plan(LAW, paper_dollars(), sj.Demand.of_requests(requests), loss=matched(size))
    found = plan.baseline.total_cost, plan.params, plan.tokens, plan.total_cost
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "tokens", "params", "ratio", "saving"),
    [
        (7e9, 1e11, 5.9997e9, 1.1758, 0.0085),
        (30e9, 1e13, 13.613e9, 2.8448, 0.2798),
        (13e9, 2e12, 6.97e9, 1.248e12 / 576.5e9, 0.1745),
    ],
)
def test_claims_in_the_text(size, tokens, params, ratio, saving):
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=tokens), loss=matched(size))
    assert plan.params == approx(params, rel=5e-4)
    assert plan.tokens_ratio == approx(ratio, rel=5e-4)
    assert plan.saving == approx(saving, abs=5e-5)


def test_figure_1_a_7b_model_of_13b_quality():
    demand = sj.Demand(output_tokens=2e12)
    loss = matched(13e9)
    small = sj.plan(LAW, sj.Flops(), demand, loss=loss, params=7e9)
    assert small.tokens == approx(1.239e12, rel=5e-4)
    assert small.train_cost == approx(5.205e22, rel=1e-4)
    saved = small.baseline.total_cost - small.total_cost
    assert_printed(saved, "1.7e22")
    assert small.saving == approx(0.1745, abs=1e-4)
    # Break-even: the extra training over the serving that each token saves.
    extra = small.train_cost - small.baseline.train_cost
    assert extra / (2 * (13e9 - 7e9)) == approx(590.3e9, rel=1e-4)


def test_compute_optimal_is_not_cost_optimal():
    demand = sj.Demand.of_requests(2e12 / 285)
    loss = matched(70e9)
    cheap = sj.plan(LAW, paper_dollars(), demand, loss=loss)
    assert (cheap.params, cheap.tokens) == (approx(31.609e9, 1e-4), approx(12.208e12, 1e-4))
    assert cheap.cost_ratio == approx(0.7169, abs=1e-4)
    extra_flops = sj.Flops()(cheap.params, cheap.tokens, demand).total
    frugal = sj.plan(LAW, sj.Flops(), demand, loss=loss)
    assert frugal.params == approx(57.92e9, 1e-4)
    assert frugal.total_cost < extra_flops


def test_requests_of_1_5_billion():
    plan = sj.plan(LAW, paper_dollars(), sj.Demand.of_requests(1.5e9), loss=matched(30e9))
    assert plan.baseline.total_cost == approx(1_701_715, rel=1e-6)
    assert plan.total_cost == approx(1_378_537, rel=1e-6)
    assert (plan.params, plan.tokens) == (approx(15.667e9, 1e-4), approx(3.507e12, 2e-4))
    fitted = sj.plan(
        LAW, paper_dollars(0.897), sj.Demand.of_requests(1.5e9), loss=matched(30e9)
    )
    assert_printed(fitted.params, "16B")
    assert_printed(fitted.tokens, "3.35T")
    assert 100 * fitted.saving == approx(17, abs=0.5)


def test_golden_compute_optimum():
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=2e12), loss=1.947)
    assert (plan.params, plan.tokens) == (approx(2.418356e10), approx(2.657051e12))
    assert plan.baseline.train_cost == approx(3.702e23, rel=1e-4)
    ratios = plan.params_ratio, plan.tokens_ratio, plan.cost_ratio
    assert ratios == (approx(0.7096, 1e-4), approx(1.4677, 1e-4), approx(0.9522, 1e-4))


def test_golden_cost_optimum():
    cost = sj.Dollars(
        train=sj.TrainFleet.of("A100-80GB", dollars_per_hour=1.40),
        serve=sj.ServeFleet.of(
            "A100-40GB", dollars_per_hour=0.60, prefill_mfu=0.4, decode_mfu=0.2
        ),
    )
    plan = sj.plan(LAW, cost, sj.Demand.of_requests(1e10, 1000, 250), loss=1.947)
    assert (plan.params, plan.tokens) == (approx(2.052729e10), approx(3.302118e12))
    assert plan.total_cost == approx(1_425_059.70, rel=1e-8)
    assert plan.baseline.total_cost == approx(1_605_532, rel=1e-6)


def test_golden_cost_optimum_at_the_reference_code_s_defaults():
    cost = sj.Dollars(
        train=sj.TrainFleet(peak_flops=9.89e14, dollars_per_hour=2.0, mfu=0.5),
        serve=sj.ServeFleet(peak_flops=1.978e15, dollars_per_hour=2.0),
    )
    plan = sj.plan(LAW, cost, sj.Demand.of_requests(1e10), loss=1.947)
    assert (plan.params, plan.tokens) == (approx(1.042993e10), approx(1.178892e13))
    assert plan.total_cost == approx(2_096_689.45, rel=1e-8)
    assert plan.baseline.total_cost == approx(4_558_771, rel=1e-6)


def test_golden_model_of_fixed_size():
    assert LAW(7e9, 1e23 / 6 / 7e9) == approx(2.0190800, rel=1e-7)


@pytest.mark.parametrize(
    ("level", "tokens"),
    [(1.01, 2.274e9), (1.1, 1.0525e10), (2.0, 1.3031e11), (5.0, 5.644e12)],
)
def test_contours_of_figure_2a_at_loss_3(level, tokens):
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=tokens), loss=3.0)
    assert 1 / plan.cost_ratio == approx(level, rel=1e-3)


@pytest.mark.parametrize(
    ("level", "loss"), [(0.5, 1.8163), (0.33, 1.8876), (0.25, 1.9710), (0.2, 2.0905)]
)
def test_contours_of_figure_2b_at_1e14_tokens(level, loss):
    plan = sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=1e14), loss=loss)
    assert plan.params_ratio == approx(level, rel=1e-3)


@pytest.mark.parametrize(
    ("scale", "tokens", "compute"), [(0.3, 6.852, 2.056), (0.25, 11.555, 2.889)]
)
def test_de_vries_overhead(scale, tokens, compute):
    best = LAW.compute_optimal(params=30e9)
    needed = LAW.tokens_for(LAW(best.params, best.tokens), scale * 30e9) / best.tokens
    assert needed == approx(tokens, rel=1e-4)
    assert scale * needed == approx(compute, rel=2e-4)
