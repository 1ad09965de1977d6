"""Your own law with a third variable and your own cost: fit, plan, grid, decide, report.

What is data worth that is repeated? The law is fitted to the runs of Muennighoff et al. 2023
(arXiv 2305.16264) where ../shared/data is there, and to simulated runs where it is not.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

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
    """Train at 4e14 FLOP/s; serve from whole chips of 80 GB, bound by memory or arithmetic."""

    unit = "gpu_hours"
    batch: sj.Positive = 64.0

    def __call__(self, params, tokens, demand):
        chips = jnp.ceil(2 * params / 64e9)
        step = jnp.maximum(2 * params / 3e12, 2 * params * self.batch / 9e14)  # seconds x chips
        serve = demand.tokens / self.batch * step / 3600 + 2000 * chips
        return sj.Bill(train=6 * params * tokens / 4e14 / 3600, serve=serve)


def training_runs() -> sj.Runs:
    if RUNS.exists():
        runs = sj.read_runs(RUNS).select(min_tokens=1e9, max_epochs=60)
        return runs.with_columns(group=None)  # of one corpus, all of them
    sizes = np.meshgrid([1e8, 4e8, 1.5e9, 6e9], [10, 40, 160], [1, 4, 16])
    params, ratio, epochs = (each.ravel() for each in sizes)
    unique = params * ratio / epochs
    law = Worn(E=1.9, A=500.0, alpha=0.35, B=1500.0, beta=0.35, R=15.0)
    noise = np.exp(3e-3 * np.random.default_rng(0).standard_normal(params.size))
    loss = law(params, params * ratio, unique_tokens=unique) * noise
    return sj.Runs(params=params, tokens=params * ratio, loss=loss, unique_tokens=unique)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    fitted = sj.fit(training_runs(), Worn, bootstrap=100)
    print(f"{fitted.n_runs} runs: repeats wear out after R = {fitted.law.R:.1f} epochs")

    cost, demand, law = GpuHours(), sj.Demand.of_tokens(3e12), fitted.sourced
    asked = {"match_params": 3e9, "match_tokens": 3e11, "axes": {"unique_tokens": 5e10}}
    plan = sj.plan(law, cost, demand, **asked)
    print(f"train {plan.params:.3g} params for {plan.tokens / 5e10:.1f} epochs: {plan.method}")

    def hours(unique_tokens):
        axes = {"unique_tokens": unique_tokens}
        return sj.plan(law, cost, demand, loss=plan.loss, axes=axes).total_cost

    table = sj.grid(hours, {"unique_tokens": "2e10:1e12:9:log"})
    print("GPU hours from 20 B unique tokens to 1 T:", np.round(table["value"]))
    choice = sj.decide(law, cost, demand, **asked).adaptive
    print(f"commit to {choice.params:.3g} params: regret {choice.regret_share:.2%}")

    out = HERE.parent / "figures" / "own_law_and_cost"
    out.with_suffix(".json").write_text(json.dumps(sj.laws.coefficients(fitted.law)))
    main(
        f"report --law {HERE}:Worn --coefficients {out}.json --axes unique-tokens=5e10 "
        f"--cost {HERE}:GpuHours --inference-tokens 3e12 --match-params 3e9 "
        f"--match-tokens 3e11 --out {out}.html".split()
    )
