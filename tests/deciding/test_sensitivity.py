"""The gradient of a risk against finite differences of whole decisions."""

import dataclasses

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.deciding import decide, log_normal, risk_gradient
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64

COUNT = 8
TOKENS = log_normal(2e12, 5, samples=COUNT)


def stack() -> sj.Chinchilla:
    z = np.random.default_rng(0).normal(size=(3, COUNT))
    return sj.Chinchilla(
        E=1.69 + 0.02 * z[0], A=406.4 * np.exp(0.1 * z[1]), alpha=np.full(COUNT, 0.336),
        B=410.7 * np.exp(0.1 * z[2]), beta=np.full(COUNT, 0.283),
    )  # fmt: skip


def moved(step: float, direction: dict, target: dict, **options):
    """Return the decision with inputs moved along relative directions."""
    law = stack()
    law = dataclasses.replace(
        law, **{k: getattr(law, k) * (1 + step * direction[k]) for k in ("E", "A", "beta")}
    )
    (name,) = [k for k in target if not k.startswith("max")]
    given = target | {name: target[name] * (1 + step * direction["target"])}
    demand = sj.Demand(output_tokens=TOKENS * (1 + step * direction["demand"]))
    return decide(law, sj.Flops(), demand, **given, **options)


@pytest.mark.parametrize(
    ("target", "risk"),
    [
        ({"loss": 2.0}, "mean"),
        ({"loss": 2.0}, "cvar"),
        ({"loss": 2.0}, "regret"),
        ({"budget": 5e23}, "cvar"),
        ({"match_params": 7e9}, "mean"),
        ({"loss": 1.93, "max_tokens": 4e12}, "regret"),  # the data hold the size up
        ({"loss": 1.70}, "cvar"),  # some laws fall short
    ],
    ids=["loss-mean", "loss-cvar", "loss-regret", "budget", "match", "wall", "shortfall"],
)
def test_the_gradient_of_a_risk_is_that_of_whole_decisions(target, risk):
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=COUNT) for name in ("E", "A", "beta", "demand")}
    direction |= {"beta": 0.1 * direction["beta"], "target": 0.3}
    if "loss" in target:
        direction["E"] *= 0.1
    options = {"risk": risk, "level": 0.7}
    decision, step = moved(0.0, direction, target, **options), 1e-6
    ends = [moved(sign * step, direction, target, **options) for sign in (-1, 1)]
    law = stack()
    for kind in ("adaptive", "fixed"):
        gradient = risk_gradient(decision, kind)
        slope = sum(
            np.sum(getattr(gradient.laws, k) * getattr(law, k) * direction[k])
            for k in ("E", "A", "beta")
        )
        slope += np.sum(gradient.demands.output_tokens * TOKENS * direction["demand"])
        (name,) = gradient.target
        slope += gradient.target[name] * target[name] * direction["target"]
        low, high = (getattr(each, kind).risk for each in ends)
        assert slope == approx((high - low) / (2 * step), rel=2e-3)


def test_the_gradient_of_a_price_and_of_several_families():
    def decision(price):
        cost = sj.Dollars(
            train=sj.TrainFleet(peak_flops=3e14, dollars_per_hour=price),
            serve=sj.ServeFleet(peak_flops=3e14, dollars_per_hour=2.0),
        )
        demand = sj.Demand(output_tokens=TOKENS)
        return decide([stack(), sj.laws.HOFFMANN_2022], cost, demand, loss=2.0)

    gradient = risk_gradient(decision(2.0), "fixed")
    assert gradient.laws[0].E.shape == (COUNT,)
    assert gradient.laws[1].E.shape == ()
    slope = (decision(2.001).fixed.risk - decision(1.999).fixed.risk) / 2e-3
    assert gradient.cost.train.dollars_per_hour == approx(slope, rel=1e-5)
    with pytest.raises(ValueError, match="commitment is 'both'"):
        risk_gradient(decision(2.0), "both")
