import jax
import jax.numpy as jnp

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
