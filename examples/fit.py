"""The paper's Table 1 beside ours, and what typical ratios say about extreme ones.

Reads the paper's 47 runs from ../shared/data where they are; else it says so and fits
simulated runs. Leaves a figure: loss against tokens/param for each model size, with the
fits of growing subsets (the paper's Figure 5).
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scaling_jax import fitting, laws, plotting
from scaling_jax.runs import Runs, read_runs

DATA = Path(__file__).parents[1] / "../shared/data/sardana2024_runs.csv"
FIGURE = Path(__file__).parent / "figures" / "fit.png"
NAMES = {100: "100", 250: "250", 500: "500", 10_000: "all"}
PRINTED = {limit: laws.load(f"sardana2024-{name}") for limit, name in NAMES.items()}


def runs_of_the_paper() -> Runs:
    """Return the paper's runs, or runs that follow its law with 1 % of noise."""
    if DATA.exists():
        return read_runs(DATA)
    print("the paper's runs are not here: these are simulated")
    params = np.repeat([1.5e8, 3.7e8, 7.5e8, 1.3e9, 2.5e9, 6e9], 8)
    tokens = params * np.tile([10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1e3, 1e4], 6)
    noise = 1 + 0.01 * np.random.default_rng(0).standard_normal(48)
    loss = np.asarray(laws.SARDANA_2024_ALL(params, tokens), float) * noise
    return Runs(params=params, tokens=tokens, loss=loss)


def row(limit: float, law: Any, rest: str) -> None:
    """Print one line of the table of coefficients."""
    exponents = f"{law.alpha:7.4f} {law.beta:7.4f}"
    print(f"<= {limit:<8g} {exponents} {law.A:7.2f} {law.B:7.2f} {law.E:6.3f}  {rest}")


def errors(runs: Runs, limit: float) -> None:
    """Print predicted less measured loss, by ratio, of a fit to the ratios up to a limit."""
    print(f"\nfitted up to {limit:g} tokens/param: predicted less measured loss above, by size")
    (held,) = fitting.holdout(runs, [laws.Chinchilla], limits={"max_tokens_per_param": limit})
    ratios, differences = held.runs.tokens_per_param.round(), held.errors * held.runs.loss
    for ratio in np.unique(ratios):
        rows = np.flatnonzero(ratios == ratio)
        rows = rows[np.argsort(held.runs.params[rows])]
        print(f"  {ratio:6g}: " + " ".join(f"{e:+.3f}" for e in differences[rows]))
    print(f"  mean error {held.bias:+.2%}; where negative, the gain is over-predicted")


def figure(runs: Runs, fits: dict[int, fitting.Fit]) -> None:
    """Draw loss against tokens/param: runs, and a curve per size and subset."""
    axes, ratios = Figure(layout="constrained").subplots(), np.geomspace(10, 1e4, 100)
    for i, size in enumerate(np.unique(runs.params)):
        own = runs.where(runs.params == size)
        axes.plot(own.tokens_per_param, own.loss, f"C{i}o", label=f"{size / 1e9:.2g}B params")
        for fitted, style in zip(fits.values(), (":", "-.", "--", "-"), strict=True):
            axes.plot(ratios, fitted.law(size, size * ratios), f"C{i}{style}", lw=0.8)
    axes.set(xscale="log", xlabel="tokens/param", ylabel="loss (nats/token)")
    axes.set_title("Fits up to 100 (dotted), 250, 500 and all ratios (solid)")
    axes.legend(loc="lower left", fontsize="small")
    plotting.save(axes, FIGURE)
    print(f"\nfigure: {FIGURE.name}")


if __name__ == "__main__":
    runs = runs_of_the_paper()
    fits = {limit: fitting.fit(runs.select(max_tokens_per_param=limit)) for limit in PRINTED}
    print("tokens/param alpha    beta       A       B      E")
    for limit, fitted in fits.items():
        row(limit, PRINTED[limit], "printed")
        row(limit, fitted.law, f"ours, {fitted.n_runs} runs, Huber sum {fitted.objective:.4e}")
        print("\n".join(f"    {warning}" for warning in fitted.warnings))
    errors(runs, 100)
    errors(runs, 250)
    figure(runs, fits)
