"""`Served` as a cost: its bill is the operation's, and it follows its axes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax._axes import cost_axes
from scaling_jax.costs import Demand, Service, TrainFleet
from scaling_jax.serving import Request, Served, Servers, operate, pretraining
from tests.conftest import needs_x64
from tests.support import approx

SERVED = Served(
    train=TrainFleet.of("H100-SXM"), servers=Servers.of("H100-SXM", 8), max_tpot=0.05
)
DEMAND = Demand.of_requests(1e10)


@pytest.fixture(scope="module")
def bill():
    """The bill as one compiled function of everything that is a number."""
    return jax.jit(
        lambda cost, params, tokens, demand, axes: cost(params, tokens, demand, **axes)
    )


def test_the_bill_is_the_operation_s(bill):
    found = bill(SERVED, 8e9, 2e12, DEMAND, {})
    one = operate(SERVED.shape(8e9), SERVED.servers, Request(max_tpot=0.05))
    assert found.train == approx(6 * 8e9 * 2e12 / (989e12 * 0.5) / 3600 * 2.0)
    assert found.serve == approx(1e10 * one.dollars_per_request, rel=1e-5)
    again = jax.jit(SERVED.operation)(8e9, DEMAND)
    assert again.tpot == approx(one.tpot, rel=1e-5)


def test_axes(bill):
    assert cost_axes(SERVED).required == ()
    names = ("serve_bits", "kv_bits", "active_params", "experts", "samples")
    assert cost_axes(SERVED).optional == names
    plain = bill(SERVED, 7e10, 2e12, DEMAND, {})
    wide = bill(SERVED, 7e10, 2e12, DEMAND, {"serve_bits": 16.0, "kv_bits": 16.0})
    assert wide.serve > 1.3 * plain.serve
    mixture = bill(SERVED, 7e10, 2e12, DEMAND, {"active_params": 1e10})
    assert mixture.train == approx(plain.train / 7)
    assert mixture.serve < plain.serve
    thrice = bill(SERVED, 7e10, 2e12, DEMAND, {"samples": 3.0})
    assert 2 * plain.serve < thrice.serve < 3 * plain.serve


def test_what_no_group_holds_is_infinite_and_no_demand_is_free(bill):
    sizes = jnp.array([7e10, 1e12])
    served = bill(SERVED, sizes, 2e12 + 0 * sizes, DEMAND, {})
    assert np.isfinite(served.serve[0])
    assert np.isinf(served.serve[1])
    assert np.isfinite(served.train[1])
    assert np.all(bill(SERVED, sizes, 2e12 + 0 * sizes, Demand(), {}).total == served.train)


def test_a_service_discounts(bill):
    service = Service(years=3.0, price_decline=0.3, discount_rate=0.1)
    later = dataclasses.replace(SERVED, service=service)
    now, then = (bill(each, 8e9, 2e12, DEMAND, {}) for each in (SERVED, later))
    assert then.serve == approx(now.serve * service.factor)


@needs_x64
@pytest.mark.parametrize("axes", [{}, {"active_params": 5e9}, {"experts": 64.0}])
def test_beyond_the_break_nothing_is_served(bill, axes):
    (wall,) = jax.jit(SERVED.breaks)(DEMAND, **axes)
    assert wall == approx(8 * 75e9, rel=0.15)  # eight H100 in 8 bits
    sides = wall * np.array([1 - 1e-3, 1 + 1e-3])
    loose = dataclasses.replace(SERVED, max_tpot=None)
    serve = bill(loose, sides, 1e12 + 0 * sides, DEMAND, axes).serve
    assert np.isfinite(serve[0])
    assert np.isinf(serve[1])


@needs_x64
def test_slopes_in_size(bill):
    """A small model's cost is overhead, a large one's nears its wall, until a group is doubled:
    the slope rises, and falls back where one takes over, three times.
    """
    sizes = np.geomspace(2e9, 3e11, 40)
    serve = lambda log: jnp.log(SERVED(jnp.exp(log), 1e12, DEMAND).serve)  # noqa: E731
    slopes = np.array(jax.jit(jax.vmap(jax.grad(serve)))(np.log(sizes)))
    assert np.sum(np.diff(slopes) < 0) == 3
    assert 0.3 < slopes[0] < 0.5
    assert 1.0 < np.median(slopes) < 1.2
    assert np.max(slopes) < 2


def test_assumptions_are_told():
    said = SERVED.assumptions()
    assert "groups of 1, 2, 4, 8 H100-SXM at $2 an hour each, weights in 8" in said["serving"]
    assert said["limits"] == "time per output token at most 0.05 s"


def test_pretraining():
    fleet = TrainFleet.of("H100-SXM")
    run = pretraining(70e9, 2e12, fleet, chips=2048, chip_name="H100-SXM")
    assert run.days == approx(6 * 70e9 * 2e12 / (2048 * 989e12 * 0.5 * 86_400))
    assert bool(run.fits)
    assert not bool(pretraining(70e9, 2e12, fleet, chips=16, chip_name="H100-SXM").fits)
