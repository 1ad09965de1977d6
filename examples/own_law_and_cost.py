"""Your own law with a third variable and your own cost: fit, plan, grid, decide, report.

What is repeated data worth? From runs of Muennighoff et al. 2023, or simulated ones elsewhere.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp

import scaling_jax as sj
from scaling_jax.cli import main

HERE = Path(__file__).resolve()
RUNS = HERE.parents[2] / "shared" / "data" / "axes" / "datablations_c4.csv"


class Worn(sj.Law):
    """E + A/N^alpha + B/D'^beta; the r-th repeat of a unique token counts e^(-r/R) in D'."""

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
    """Train at 4e14 FLOP/s; serve from chips of 80 GB, bound by memory or arithmetic."""

    unit = "gpu_hours"

    def __call__(self, params, tokens, demand):
        chips = 2 * params / 64e9
        step = jnp.maximum(2 * params / 3e12, 2 * params * 64 / 9e14)  # seconds x chips
        serve = demand.tokens / 64 * step / 3600 + 2000 * chips
        return sj.Bill(train=6 * params * tokens / 4e14 / 3600, serve=serve)


def training_runs():
    if RUNS.exists():
        runs = sj.read_runs(RUNS).with_columns(group=None)  # one corpus is no group
        return runs.select(min_tokens=1e9, max_epochs=60)
    each = map(jnp.array, ([1e8, 4e8, 1.5e9, 6e9], [10.0, 40.0, 160.0], [1.0, 4.0, 16.0]))
    params, ratio, epochs = map(jnp.ravel, jnp.meshgrid(*each))
    tokens, unique = params * ratio, params * ratio / epochs
    law = Worn(E=1.9, A=500.0, alpha=0.35, B=1500.0, beta=0.35, R=15.0)
    noise = jnp.exp(3e-3 * jax.random.normal(jax.random.key(0), params.shape))
    loss = law(params, tokens, unique_tokens=unique) * noise
    return sj.Runs(params=params, tokens=tokens, loss=loss, unique_tokens=unique)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    fitted = sj.fit(training_runs(), Worn, bootstrap=100)
    cost, demand, law = GpuHours(), sj.Demand.of_tokens(3e12), fitted.sourced
    print(f"{fitted.n_runs} runs: repeats wear out after R = {law.law.R:.1f} epochs")
    asked = {"match_params": 3e9, "match_tokens": 3e11, "axes": {"unique_tokens": 5e10}}
    plan = sj.plan(law, cost, demand, **asked)
    print(f"train {plan.params:.3g} params for {plan.tokens / 5e10:.1f} epochs: {plan.method}")
    loss, axes = plan.loss, {"unique_tokens": "2e10:1e12:9:log"}
    table = sj.grid(lambda **u: sj.plan(law, cost, demand, loss=loss, axes=u).total_cost, axes)
    print("GPU hours, of 20 B unique tokens to 1 T:", jnp.round(table["value"]))
    choice = sj.decide(law, cost, demand, **asked).adaptive
    print(f"commit to {choice.params:.3g} params: regret {choice.regret_share:.2%}")
    out = Path(tempfile.gettempdir()) / "own_law_and_cost"
    sj.laws.FAMILIES[f"{HERE}:Worn"] = Worn  # so that a file can hold it, with its resamples
    sj.laws.save(law, f"{out}.json")
    mine = f"--law {HERE}:Worn --coefficients {out}.json --cost {HERE}:GpuHours"
    given = "--axes unique-tokens=5e10 --inference-tokens 3e12 --match-params 3e9"
    main(f"report {mine} {given} --match-tokens 3e11 --out {out}.html".split())
