"""Make runs, fit their law, plan from it: the loop closed in a minute on two cores.

The `smoke` sweep trains two small transformers to 10, 30 and 100 tokens per parameter on the
Python sources of this machine. Run it with a folder to keep: python train_smoke.py DIR
"""

import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import scaling_jax as sj
from scaling_jax.training import SWEEPS
from scaling_jax.training.metrics import read_metrics

FIGURES = Path(__file__).parent / "figures"


def draw(folder: Path) -> None:
    """Draw the training loss of every run against its tokens."""
    ax = Figure(figsize=(7, 4.5), layout="constrained").subplots()
    for run in SWEEPS["smoke"].runs():
        lines = read_metrics(folder / run.name / "metrics.jsonl")
        tokens, loss = (np.array([line[name] for line in lines]) for name in ("tokens", "loss"))
        colour = "#0072B2" if run.config.shape.d_model == 12 else "#D55E00"
        ax.plot(tokens, loss, color=colour, linewidth=1, alpha=0.7, label=run.name)
    ax.set_xscale("log")
    ax.set_xlabel("tokens (bytes of Python source)")
    ax.set_ylabel("training loss (nats/token)")
    ax.legend(frameon=False, title="params-tokens/param")
    sj.plotting.save(ax, FIGURES / "train_smoke.png")


def main(folder: Path) -> None:
    corpus = sj.prepare("stdlib", folder / "corpus")
    records = sj.sweep(SWEEPS["smoke"], corpus, folder)
    print(f"{'params':>8} {'tokens':>9} {'tokens/param':>12} {'loss':>7} {'seconds':>7}")
    for run in records:
        print(
            f"{run.params:8,} {run.tokens:9,} {run.tokens_per_param:12.0f} {run.loss:7.4f} "
            f"{run.seconds:7.1f}"
        )
    assert all(run.status == "finished" for run in records)

    # Six runs of two sizes cannot show where the loss ends: a law without a floor.
    jax.config.update("jax_enable_x64", True)
    law = sj.fit(sj.read_runs(folder / "runs.csv"), sj.laws.Kaplan).law
    demand = sj.Demand.of_tokens(1e6)
    plan = sj.plan(law, sj.Flops(), demand, loss=records[-1].loss)
    shape = sj.shape_for(float(plan.params), vocab_size=corpus.vocab_size, multiple=4)
    print(
        f"\nLoss {float(plan.loss):.3f} for 1e6 inference tokens: {float(plan.params):,.0f} "
        f"params, {float(plan.tokens):,.0f} tokens.\nTo train: d_model {shape.d_model}, "
        f"{shape.layers} layers, {shape.heads} heads: {shape.params:,} params."
    )
    draw(folder)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
