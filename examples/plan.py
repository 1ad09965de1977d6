"""Plan one model, then the same for 400 demands at once, and draw what demand changes."""

from pathlib import Path

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import scaling_jax as sj

jax.config.update("jax_enable_x64", True)
law = sj.laws.HOFFMANN_2022
flops = sj.Flops()
dollars = sj.Dollars(
    train=sj.TrainFleet.of("A100-80GB", "bf16", mfu=0.5),
    serve=sj.ServeFleet.of("A100-40GB", "int8", prefill_mfu=0.5, decode_mfu=0.01),
)

# One plan: a model as good as a 30B Chinchilla, for 1.5 billion requests.
best = law.compute_optimal(params=30e9)
loss = law(best.params, best.tokens)
demand = sj.Demand.of_requests(1.5e9)
plan = sj.plan(law, dollars, demand, loss=loss)
print(f"train {plan.params:.4g} params on {plan.tokens:.4g} tokens: ${plan.total_cost:,.0f}")
print(f"the Chinchilla-style model of equal loss costs ${plan.baseline.total_cost:,.0f}")

# How the optimal size moves with everything: exact, through the optimum.
table = sj.elasticities(law, dollars, demand, loss=loss)
for name in ("cost.serve.decode_mfu", "demand.output_tokens", "law.beta"):
    print(f"d log(params) / d log({name}) = {table['params'][name]:+.3f}")

# Many plans: vmap over demand, for four qualities and two ways to count.
requests = jnp.geomspace(1e6, 1e12, 400)
figure = Figure(figsize=(9.5, 3.8), layout="constrained")
ratio_axes, saving_axes = figure.subplots(1, 2)
colours = ("#0072B2", "#009E73", "#E69F00", "#D55E00")
for size, colour in zip((1e9, 7e9, 30e9, 70e9), colours, strict=True):
    best = law.compute_optimal(params=size)
    target = law(best.params, best.tokens)
    for cost, line in ((flops, "--"), (dollars, "-")):

        @jax.vmap
        def plans(count, cost=cost, target=target):
            return sj.plan(law, cost, sj.Demand.of_requests(count), loss=target)

        many = plans(requests)
        name = f"{size / 1e9:.0f}B quality" if cost is dollars else None
        ratio_axes.loglog(requests, many.tokens_per_param, line, color=colour, label=name)
        saving_axes.semilogx(requests, 100 * many.saving, line, color=colour, label=name)
ratio_axes.set_ylabel("optimal tokens per parameter")
saving_axes.set_ylabel("saving against Chinchilla-style (%)")
for axes in (ratio_axes, saving_axes):
    axes.set_xlabel("requests over the model's life")
    axes.grid(visible=True, alpha=0.3)
ratio_axes.plot([], [], "k-", label="dollars")
ratio_axes.plot([], [], "k--", label="FLOPs")
ratio_axes.legend(frameon=False, fontsize=8)
out = Path(__file__).parent / "figures" / "plan.png"
figure.savefig(out, dpi=130)
print(f"figure: {out.relative_to(Path(__file__).parents[1])}")
