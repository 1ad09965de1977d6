"""Your own law with a third variable and your own cost: fit, plan, grid, decide, report.

What is data worth that is repeated? The law reads `unique_tokens`. It is fitted to the runs of
Muennighoff et al. 2023 (arXiv 2305.16264) where ../shared/data is there, else to runs that are
simulated. The cost is of GPU hours, and serves on whole chips.
"""

import json
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import scaling_jax as sj
from scaling_jax.cli import main

HERE = Path(__file__).resolve()
RUNS = HERE.parents[2] / "shared" / "data" / "axes" / "datablations_c4.csv"


class Worn(sj.Law):
    """E + A/N^alpha + B/D'^beta: the r-th repeat of U unique tokens counts e^(-r/R) of new."""

    E: sj.Floor
    A: sj.Positive
    alpha: sj.Exponent
    B: sj.Positive
    beta: sj.Exponent
    R: sj.Positive

    def loss(self, params, tokens, *, unique_tokens):
        repeats = jnp.maximum(tokens / unique_tokens - 1, 0.0)
        worth = jnp.minimum(tokens, unique_tokens) * (1 - self.R * jnp.expm1(-repeats / self.R))
        return self.E + self.A / params**self.alpha + self.B / worth**self.beta


class GpuHours(sj.Cost):
    """Train at 4e14 FLOP/s; serve a token at 3e12 bytes/s, on as many chips as hold the model."""

    unit = "gpu_hours"
    chip_bytes: sj.Positive = 80e9
    batch: sj.Positive = 64.0

    def __call__(self, params, tokens, demand):
        chips = jnp.ceil(2 * params / (0.8 * self.chip_bytes))
        second = jnp.maximum(2 * params / chips / 3e12, 2 * params * self.batch / chips / 9e14)
        serve = demand.tokens / self.batch * second * chips / 3600
        return sj.Bill(train=6 * params * tokens / 4e14 / 3600, serve=serve + 2000 * chips)


def simulated() -> sj.Runs:
    """Return runs of a law of this kind, with noise."""
    params, ratio, epochs = (
        x.ravel() for x in np.meshgrid([1e8, 4e8, 1.5e9, 6e9], [10, 40, 160], [1, 4, 16])
    )
    law = Worn(E=1.9, A=500.0, alpha=0.35, B=1500.0, beta=0.35, R=15.0)
    tokens = params * ratio
    loss = law(params, tokens, unique_tokens=tokens / epochs)
    noise = np.exp(3e-3 * np.random.default_rng(0).standard_normal(params.size))
    return sj.Runs(
        params=params, tokens=tokens, loss=loss * noise, unique_tokens=tokens / epochs
    )


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    runs = (
        sj.read_runs(RUNS).select(min_tokens=1e9, max_epochs=60)
        if RUNS.exists()
        else simulated()
    )
    fitted = sj.fit(runs, Worn, bootstrap=100)
    print(
        f"{len(runs)} runs: repeats wear out after R = {fitted.law.R:.1f} epochs; {fitted.law}"
    )
    cost, demand, fresh = GpuHours(), sj.Demand.of_tokens(3e12), {"unique_tokens": 5e10}
    query = {"match_params": 3e9, "match_tokens": 3e11, "axes": fresh}
    plan = sj.plan(fitted.sourced, cost, demand, **query)
    print(
        f"{plan.params:.3g} params, {plan.tokens / 5e10:.1f} epochs, {plan.total_cost:,.0f} GPU hours"
    )
    grid = sj.grid(
        lambda unique_tokens: (
            sj.plan(
                fitted.law, cost, demand, loss=plan.loss, axes={"unique_tokens": unique_tokens}
            ).total_cost
        ),
        {"unique_tokens": "2e10:1e12:9:log"},
    )
    print("GPU hours from 20 B unique tokens to 1 T:", np.round(grid["value"]))
    choice = sj.decide(fitted.sourced, cost, demand, **query)
    print(
        f"commit to {choice.adaptive.params:.3g} params: regret {choice.adaptive.regret_share:.2%}"
    )
    with tempfile.TemporaryDirectory() as folder:
        numbers, page = Path(folder) / "worn.json", HERE.parent / "figures" / "own.html"
        numbers.write_text(json.dumps(sj.laws.coefficients(fitted.law)))
        options = f"--law {HERE}:Worn --coefficients {numbers} --cost {HERE}:GpuHours --axes unique-tokens=5e10"
        main(
            f"report --match-params 3e9 --match-tokens 3e11 --inference-tokens 3e12 {options} --out {page}".split()
        )
