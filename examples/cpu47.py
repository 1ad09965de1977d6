"""A real sweep on two CPU cores: the law behind it, how far it carries, a plan checked.

Prints what the fit to ratios up to 100 misses beyond them, whether loss still falls at 10,000
tokens per parameter, and a planned model's predicted loss beside the one it trained to.
"""

from pathlib import Path

import jax
import numpy as np

import scaling_jax as sj
from scaling_jax.plotting import paper_runs

jax.config.update("jax_enable_x64", True)

FIGURES = Path(__file__).parent / "figures"
TYPICAL = 100.0


def signed_errors(runs: sj.Runs, law: sj.Law) -> None:
    """Print predicted less measured loss of each run beyond the typical ratios."""
    print("\npredicted - measured loss of the fit up to 100 tokens/param:")
    print(f"{'params':>8}" + "".join(f"{ratio:>8}" for ratio in (250, 500, 1000, 5000, 10_000)))
    for params in np.unique(runs.params):
        mine = runs.where(runs.params == params)
        far = mine.where(~mine.within(max_tokens_per_param=TYPICAL))
        error = np.asarray(law(far.params, far.tokens)) - far.loss
        if len(far):
            order = np.argsort(far.tokens)
            print(f"{params:8,.0f}" + "".join(f"{each:+8.3f}" for each in error[order]))


def main() -> None:
    runs = sj.runs.CPU47
    typical = runs.select(max_tokens_per_param=TYPICAL)
    print(f"{'runs':>18}   n      E       A  alpha       B   beta  error")
    fits = {}
    for name, table, family in (
        ("all ratios", runs, sj.Chinchilla),
        ("up to 100", typical, sj.Chinchilla),
        ("all, coupled", runs, sj.Coupled),
    ):
        fits[name] = each = sj.fit(table, family)
        law = each.law
        error = np.abs(np.expm1(each.residuals)).mean()
        print(
            f"{name:>18} {len(table):3} {law.E:6.3f} {law.A:7.4g} {law.alpha:6.3f} "
            f"{law.B:7.4g} {law.beta:6.3f} {error:6.2%}"
        )
    signed_errors(runs, fits["up to 100"].law)

    smallest = runs.where(runs.params == runs.params.min())
    last = smallest.where(np.argsort(smallest.tokens)[-3:])
    print("\nthe smallest model still improves:", end="")
    for ratio, loss in zip(last.tokens_per_param, last.loss, strict=True):
        print(f"  {loss:.4f} at {ratio:,.0f}", end="")
    for warning in fits["all ratios"].warnings:
        print(f"\n- {warning}", end="")

    check = sj.runs.CPU47_CHECK
    size = f"{check.params[0]:,.0f} params, {check.tokens[0]:,.0f} tokens"
    print(f"\n\none more run, planned: {size}")
    for name, each in fits.items():
        predicted = float(each.law(check.params[0], check.tokens[0]))
        print(f"{name:>18}: predicted {predicted:.4f}, trained {check.loss[0]:.4f}, "
              f"{predicted / check.loss[0] - 1:+.2%}")  # fmt: skip
    subsets = {TYPICAL: fits["up to 100"], np.inf: fits["all ratios"]}
    axes = paper_runs.figure5(paper_runs.figure5_data(runs, subsets))
    sj.plotting.save(axes[0], FIGURES / "cpu47.png")


if __name__ == "__main__":
    main()
