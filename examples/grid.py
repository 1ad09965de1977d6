"""Forty thousand plans in one call, and a map of what accounting for demand changes.

The quality of the Chinchilla-style model of each size, for each inference demand, as in
figure 2 of Sardana et al. 2024 (arXiv 2401.00448).
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import scaling_jax as sj
from scaling_jax.grids import axis, grid

jax.config.update("jax_enable_x64", True)
law = sj.laws.HOFFMANN_2022


def scenario(quality, tokens):
    """Plan a model as good as a Chinchilla-style one of so many parameters."""
    like = law.compute_optimal(params=quality)
    plan = sj.plan(
        law, sj.Flops(), sj.Demand(output_tokens=tokens), loss=law(like.params, like.tokens)
    )
    return {
        "total cost": plan.cost_ratio,
        "parameters": plan.params_ratio,
        "training tokens": plan.tokens_ratio,
    }


plans = grid(
    scenario, {"quality": axis("1e9:5e11:200:log"), "tokens": axis("1e10:1e14:200:log")}
)
here = plans.sel(quality=30e9, tokens=1e13)
for name, value in here.values.items():
    print(f"30B quality, 1e13 tokens of demand: {name} x {value:.3f}")

levels = {
    "total cost": [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99],
    "parameters": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    "training tokens": [1.1, 1.2, 1.5, 2, 3, 5, 10, 20],
}
figure = Figure(figsize=(12, 3.9), layout="constrained")
for axes, (name, lines) in zip(figure.subplots(1, 3), levels.items(), strict=True):
    quality, tokens = plans.axes["quality"], plans.axes["tokens"]
    axes.set(xscale="log", yscale="log", title=f"{name}, over the baseline's")
    drawn = axes.contour(quality, tokens, plans[name].T, lines, cmap="viridis")
    axes.clabel(drawn, fmt="%g", fontsize=8)
    axes.set_xlabel("quality: that of a baseline of so many parameters")
figure.axes[0].set_ylabel("inference demand (tokens)")
assert np.all(np.asarray(plans["total cost"]) <= 1 + 1e-12)
out = Path(__file__).parent / "figures" / "grid.png"
figure.savefig(out, dpi=130)
print(f"figure: {out.relative_to(Path(__file__).parents[1])}")
