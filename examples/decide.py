"""Which model to train when two published laws disagree and demand is known to a factor 5."""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import scaling_jax as sj
from scaling_jax.deciding import decide, log_normal

jax.config.update("jax_enable_x64", True)
loss = 2.1
tokens = log_normal(2e12, 5, samples=2000)
laws = [sj.laws.HOFFMANN_2022, sj.laws.BESIROGLU_2024]  # believed alike; or (law, weight)
demand = sj.Demand.of_tokens(tokens)
cost = sj.Dollars(
    train=sj.TrainFleet.of("A100-80GB", "bf16", mfu=0.5),
    serve=sj.ServeFleet.of("A100-40GB", "int8", prefill_mfu=0.5, decode_mfu=0.1),
)

risks = {"mean": "expected cost", "cvar": "mean of the worst tenth", "regret": "largest regret"}
decisions = {risk: decide(laws, cost, demand, loss=loss, risk=risk) for risk in risks}
for risk, decision in decisions.items():
    model = decision.adaptive
    print(
        f"least {risks[risk]}: {model.params:.4g} params; expected ${model.expected:,.0f}, "
        f"of which ${model.regret:,.0f} for having to choose now"
    )
decision = decisions["mean"]
print(decision.advice)
low, high = decision.break_even
print(f"the baseline is within 1 % below {low:.2g} … {high:.2g} tokens of demand")

# What committing to each size costs beyond the best plan, in every sample at once.
sizes = np.geomspace(0.4, 2.2, 150) * decision.adaptive.params


def regret(law, sizes):
    cheapest = sj.plan(law, cost, demand, loss=loss).total_cost
    return [
        sj.plan(law, cost, demand, loss=loss, params=n).total_cost - cheapest for n in sizes
    ]


regrets = np.concatenate([regret(law, sizes) for law in laws], axis=1) / 1e6
figure = Figure(figsize=(10.5, 4), layout="constrained")
optima, risky = figure.subplots(1, 2)
bins = np.geomspace(float(decision.plans.params.min()), float(decision.plans.params.max()), 60)
optima.hist(decision.plans.params, bins, color="#999999")
optima.set_ylim(top=160)
optima.set(xscale="log", xlabel="parameters of the optimal plan", ylabel="samples")
risky.plot(sizes, regrets.mean(axis=1), color="#0072B2", label="expected")
risky.plot(sizes, regrets.max(axis=1), color="#D55E00", label="largest")
risky.set(
    xscale="log", yscale="log", xlabel="parameters committed to", ylabel="regret (million $)"
)
styles = zip(decisions.items(), ("-", "--", ":"), strict=True)
for (risk, each), style in styles:
    for axes in (optima, risky):
        label = f"least {risks[risk]}" if axes is optima else None
        axes.axvline(each.adaptive.params, color="k", linestyle=style, label=label)
for axes in (optima, risky):
    axes.legend(frameon=False, fontsize=8, loc="upper right")
out = Path(__file__).parent / "figures" / "decide.png"
figure.savefig(out, dpi=130)
print(f"figure: {out.relative_to(Path(__file__).parents[1])}")
