import jax
import jax.numpy as jnp
import numpy as np

import scaling_jax as sj
from tests.support import approx


def h100(mfu=0.5) -> sj.Dollars:
    return sj.Dollars(
        train=sj.TrainFleet.of("H100-SXM", mfu=mfu), serve=sj.ServeFleet.of("H100-SXM", "fp8")
    )


def test_flops_are_six_to_train_and_two_to_serve():
    bill = sj.Flops()(7e9, 2e12, sj.Demand(input_tokens=1e12, output_tokens=2e12))
    assert bill.train == 6 * 7e9 * 2e12
    assert bill.serve == 2 * 7e9 * 3e12
    assert bill.total == bill.train + bill.serve


def test_the_reference_code_s_training_cost():
    assert h100()(70e9, 1e13, sj.Demand()).total == approx(4.719e6, rel=2e-4)


def test_dollars_follow_equation_six():
    demand = sj.Demand(input_tokens=7e11, output_tokens=2e12)
    cost = sj.Dollars(
        train=sj.TrainFleet(peak_flops=3e14, dollars_per_hour=1.5, mfu=0.4),
        serve=sj.ServeFleet(
            peak_flops=6e14, dollars_per_hour=1.1, prefill_mfu=0.5, decode_mfu=0.02
        ),
    )
    bill = cost(1e9, 1e11, demand)
    train_price, serve_price = 1.5 / 3600 / 3e14, 1.1 / 3600 / 6e14
    assert bill.train == approx(6 * 1e9 * 1e11 * train_price / 0.4, rel=1e-14)
    served = 2 * 1e9 * serve_price * (7e11 / 0.5 + 2e12 / 0.02)
    assert bill.serve == approx(served, rel=1e-14)


def test_prices_are_not_ignored_as_in_the_reference_code():
    cheap = sj.TrainFleet.of("H100-SXM", dollars_per_hour=1.5).dollars_per_peak_flop
    dear = sj.TrainFleet.of("H100-SXM", dollars_per_hour=150.0).dollars_per_peak_flop
    assert dear == approx(100 * cheap)


def test_demand_of_requests_takes_the_lmsys_means():
    demand = sj.Demand.of_requests(1e9)
    assert (demand.input_tokens, demand.output_tokens) == (70e9, 215e9)
    split = sj.Demand.of_tokens(285e9)
    assert split.input_tokens == approx(70e9)
    assert split.tokens == approx(285e9)


def test_costs_are_pytrees_with_gradients():
    cost = jax.tree.map(jnp.asarray, h100())

    def train(cost: sj.Dollars) -> jax.Array:
        return jnp.asarray(cost(1e9, 1e11, sj.Demand()).train)

    slope = jax.grad(train)(cost)
    assert slope.train.mfu == approx(-train(cost) / 0.5, rel=1e-5)
    assert slope.serve.decode_mfu == 0.0


def test_the_paper_s_effective_demand():
    """One inference token counts as 13.92047 training-priced tokens at the paper's setting."""
    cost = sj.Dollars(train=sj.TrainFleet.of("A100-80GB"), serve=sj.ServeFleet.of("A100-40GB"))
    rates = cost.rates(sj.Demand.of_tokens(1.0))
    assert 3 * rates.serve / rates.train == approx(13.92047, rel=1e-6)


def test_demand_knows_the_length_of_a_request():
    demand = sj.Demand(input_tokens=3e12, output_tokens=1e12, requests=1e9)
    assert (demand.input_length, demand.output_length) == (3000.0, 1000.0)
    twice = demand.scaled(2.0)
    assert (twice.tokens, twice.input_length) == (8e12, 3000.0)
    assert sj.Demand(output_tokens=1e12).output_length == 215.0
    assert sj.Demand.of_requests(0.0).input_length == 70.0

    def length(requests):
        return jnp.asarray(sj.Demand.of_requests(requests, 100.0, 50.0).input_length)

    assert jax.jit(length)(0.0) == 70.0
    assert jax.vmap(length)(jnp.array([0.0, 2.0])).tolist() == [70.0, 100.0]
    assert jax.grad(length)(0.0) == 0.0


def test_prices_over_time_are_the_mean_of_the_discounted_prices():
    service = sj.Service(years=4.0, price_decline=0.3, discount_rate=0.08)
    at = np.linspace(0, 4, 100_001)
    mean = np.trapezoid((0.7 / 1.08) ** at, at) / 4
    assert service.factor == approx(mean, rel=1e-6)
    assert sj.Service().factor == 1.0
    assert sj.Service(years=1e-9, price_decline=0.5).factor == approx(1.0, rel=1e-6)
    slope = jax.grad(lambda years: sj.Service(years=years, price_decline=0.3).factor)(0.0)
    assert slope == approx(np.log(0.7) / 2, rel=1e-5)


def test_service_multiplies_the_serving_cost_alone():
    bare = h100()
    later = sj.Dollars(
        train=bare.train, serve=bare.serve, service=sj.Service(years=3.0, price_decline=0.4)
    )
    demand = sj.Demand.of_requests(1e9)
    assert later(1e9, 1e11, demand).train == bare(1e9, 1e11, demand).train
    ratio = later(1e9, 1e11, demand).serve / bare(1e9, 1e11, demand).serve
    assert ratio == approx(later.service.factor)
    assert "40%" in later.assumptions()["prices over time"]


def test_a_cost_says_what_it_rests_on():
    assert "6 per parameter" in sj.Flops().assumptions()["FLOPs"]
    said = h100().assumptions()
    assert said["serving"].endswith("MFU 0.5 on input and 0.01 on output tokens")
