"""How long a decision takes, and how close its models are to those of a dense search.

A hundred thousand joint samples of law and demand, in a fresh process (compilation included)
and again; then, with fewer samples, decisions whose outcomes are not convex: a coupled law
with a roofline cost, and two families of laws with chips that come whole. Run:

    python benchmarks/decide.py
"""

import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import scaling_jax as sj
from scaling_jax.deciding import RISKS, Decision, decide, log_normal
from scaling_jax.laws import HOFFMANN_2022 as LAW

jax.config.update("jax_enable_x64", True)

SAMPLES, SOME = 100_000, 1000
LOSS = 2.0


def laws(count: int) -> sj.Chinchilla:
    z = np.random.default_rng(0).normal(size=(5, count))
    return sj.Chinchilla(
        E=LAW.E + 0.02 * z[0],
        A=LAW.A * np.exp(0.1 * z[1]),
        alpha=LAW.alpha + 0.004 * z[2],
        B=LAW.B * np.exp(0.1 * z[3]),
        beta=LAW.beta + 0.004 * z[4],
    )


def decision(risk: str, count: int = SAMPLES) -> Decision:
    tokens = log_normal(2e12, 5, samples=count)
    return decide(laws(count), sj.Flops(), sj.Demand.of_tokens(tokens), loss=LOSS, risk=risk)


def excess(risk: str) -> float:
    """Return by how much a dense search beats the adaptive commitment, over the mean cost."""
    found = decision(risk, 1000)
    sizes = found.adaptive.params * np.exp(np.linspace(-2e-3, 2e-3, 2001))
    stack, tokens = laws(1000), log_normal(2e12, 5, samples=1000)

    def cost(size: float) -> jax.Array:
        demand = sj.Demand.of_tokens(tokens)
        return sj.plan(stack, sj.Flops(), demand, loss=LOSS, params=size).total_cost

    outcome = np.sort(np.stack([np.asarray(cost(size)) for size in sizes]), axis=1)
    if risk == "regret":
        best = np.asarray(found.plans.total_cost)
        dense = np.array([(np.asarray(cost(size)) - best).max() for size in sizes])
    else:
        dense = outcome[:, 900:].mean(axis=1) if risk == "cvar" else outcome.mean(axis=1)
    return float((found.adaptive.risk - dense.min()) / found.expected_optimum)


def report(risk: str) -> None:
    start = time.perf_counter()
    decision(risk)
    between = time.perf_counter()
    found = decision(risk)
    first, second = between - start, time.perf_counter() - between
    gaps = [each.gap or 0.0 for each in (found.adaptive, found.fixed)]
    gap = max(gaps) / found.expected_optimum
    print(
        f"{risk:7s} {SAMPLES:,} samples: {first:.2f} s in a fresh process, {second:.2f} s "
        f"again; certified within {gap:.0e}; less a dense search's risk: {excess(risk):+.0e}"
    )


def coupled(count: int) -> sj.Coupled:
    z = np.random.default_rng(1).normal(size=(3, count))
    return sj.Coupled(
        E=1.5 + 0.02 * z[0],
        A=3e3 * np.exp(0.1 * z[1]),
        alpha=np.full(count, 0.4),
        B=2e4 * np.exp(0.1 * z[2]),
        beta=np.full(count, 0.43),
        k=np.full(count, 0.5),
    )


def roofline(params: jax.Array, tokens: jax.Array, demand: sj.Demand) -> sj.Bill:
    """Serving is bound by memory below a size, by arithmetic above it."""
    serve = jnp.maximum(2 * params, 5e9 + 0.5 * params) * demand.tokens
    return sj.Bill(train=6 * params * tokens, serve=serve)


def chips(params: jax.Array, tokens: jax.Array, demand: sj.Demand) -> sj.Bill:
    """Serving takes whole chips that hold 8e9 parameters each."""
    serve = 16e9 * jnp.ceil(params / 8e9) * demand.tokens
    return sj.Bill(train=6 * params * tokens, serve=serve)


GENERAL = {
    "roofline": lambda: (coupled(SOME), roofline),
    "families": lambda: ([(laws(SOME // 2), 1.0), (coupled(SOME // 2), 3.0)], chips),
}


def report_general(name: str) -> None:
    family, cost = GENERAL[name]()
    demand = sj.Demand.of_tokens(log_normal(2e12, 5, samples=SOME))
    start = time.perf_counter()
    decide(family, cost, demand, loss=2.1, paired=False)
    between = time.perf_counter()
    found = decide(family, cost, demand, loss=2.1, paired=False)
    first, second = between - start, time.perf_counter() - between
    print(
        f"{name} {found.samples:,} samples: {first:.2f} s in a fresh process, "
        f"{second:.2f} s again; certificate {found.adaptive.certificate}, "
        f"{found.feasible:,} with a plan, {found.adaptive.params:.4g} params"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        (report_general if sys.argv[1] in GENERAL else report)(sys.argv[1])
    else:
        for each in (*RISKS, *GENERAL):
            subprocess.run([sys.executable, __file__, each], check=True)
