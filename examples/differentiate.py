"""From the loss of each training run to dollars: one derivative, through the fit and the plan.

Reads the paper's 47 runs from ../shared/data where they are; else it says so and fits
simulated runs. Leaves a figure: what the cost of a plan owes to each run.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import scaling_jax as sj

jax.config.update("jax_enable_x64", True)
DATA = Path(__file__).parents[1] / "../shared/data/sardana2024_runs.csv"
LOSS, DEMAND = 2.4, sj.Demand.of_tokens(1e12)
COST = sj.Dollars(
    train=sj.TrainFleet.of("A100-80GB", "bf16", mfu=0.5),
    serve=sj.ServeFleet.of("A100-40GB", "int8", prefill_mfu=0.5, decode_mfu=0.1),
)
COLOURS = "#000000 #E69F00 #56B4E9 #009E73 #0072B2 #D55E00".split()  # safe for the colour-blind


def runs_of_the_paper():
    if DATA.exists():
        return sj.read_runs(DATA)
    print("the paper's runs are not here: these are simulated")
    params = np.repeat([1.5e8, 3.7e8, 7.5e8, 1.3e9, 2.5e9, 6e9], 8)
    tokens = params * np.tile([10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1e3, 1e4], 6)
    noise = 1 + 0.01 * np.random.default_rng(0).standard_normal(48)
    loss = np.asarray(sj.laws.SARDANA_2024_ALL(params, tokens)) * noise
    return sj.Runs(params=params, tokens=tokens, loss=loss)


def dollars(law):
    """The lifetime cost of the best model of this quality, if the law is so."""
    return sj.plan(law, COST, DEMAND, loss=LOSS).total_cost


def check(fitted, slopes, step=1e-6):
    """Print the derivative of the most influential run beside a difference of two refits."""
    row = int(np.argmax(np.abs(slopes)))
    nudge = step * np.eye(fitted.n_runs)[row]
    above, below = (
        dollars(sj.refit(fitted, fitted.runs.loss + each)) for each in (nudge, -nudge)
    )
    print(
        f"run {row + 1}: ${slopes[row] / 100:,.2f} per 0.01 nats; by refitting twice ", end=""
    )
    print(f"${(above - below) / (2 * step) / 100:,.2f}")


runs = runs_of_the_paper()
figure = Figure(figsize=(10, 4), layout="constrained")
objectives = {"Huber's loss, as in the paper": 1e-3, "squared error": None}
for axes, (name, delta) in zip(figure.subplots(1, 2), objectives.items(), strict=True):
    fitted = sj.fit(runs, delta=delta)
    slopes = sj.influence(fitted, dollars)  # d dollars / d loss of each run, exact
    print(f"{name}: the plan costs ${dollars(fitted.law):,.0f}; ", end="")
    print(f"{np.count_nonzero(slopes)} of {len(runs)} runs move it")
    check(fitted, slopes)
    sizes = np.unique(runs.params)
    for size, colour, marker in zip(sizes, COLOURS, "os^Dv*", strict=True):
        own = runs.params == size
        stems = runs.tokens_per_param[own], slopes[own] / 100
        axes.vlines(stems[0], 0, stems[1], color=colour, lw=1)
        axes.plot(*stems, marker, color=colour, label=f"{size / 1e9:.2g}B params")
    axes.axhline(0, color="k", lw=0.8)
    axes.set(xscale="log", xlabel="tokens per parameter of the run", title=name)
    axes.set_ylabel("lifetime cost per 0.01 nats of its loss ($)")
    axes.legend(frameon=False, fontsize=8)
out = Path(__file__).parent / "figures" / "differentiate.png"
figure.savefig(out, dpi=130)
print(f"figure: {out.relative_to(Path(__file__).parents[1])}")
