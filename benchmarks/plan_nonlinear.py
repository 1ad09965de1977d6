"""Plans of nonlinear costs and any law: plans per second, gradients, compilation, memory.

The opponent is `scipy.optimize.minimize_scalar` on the same problem with the tokens eliminated
by hand, one scenario at a time, in the same run. Run:

    python benchmarks/plan_nonlinear.py
    python benchmarks/plan_nonlinear.py brute 2000   # against brute force instead
    python benchmarks/plan_nonlinear.py first coupled  # only the first call, in this process
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import scaling_jax as sj

jax.config.update("jax_enable_x64", True)

LAW = sj.Coupled(E=1.2, A=3e3, alpha=0.4, B=2e4, beta=0.43, k=0.5)
SCIPY_SCENARIOS = 500
BATCH = 100_000


def roofline(params: Any, tokens: Any, demand: Any) -> sj.Bill:
    """Small models are bound by memory: smooth, and like a roofline."""
    busy = (1 + (1e10 / params) ** 2) ** 0.25
    return sj.Bill(train=6 * params * tokens, serve=2 * params * demand.tokens * busy)


def kinked(params: Any, tokens: Any, demand: Any) -> sj.Bill:
    """The same with the two regimes apart."""
    busy = jnp.maximum(params, 8e9 * (params / 8e9) ** 0.3)
    return sj.Bill(train=6 * params * tokens, serve=2 * demand.tokens * busy)


def chips(params: Any, tokens: Any, demand: Any) -> sj.Bill:
    """Chips come in whole numbers."""
    serve = demand.tokens * 1e10 * jnp.ceil(2 * params / 8e9)
    return sj.Bill(train=6 * params * tokens, serve=serve)


def own(params: Any, tokens: Any) -> Any:
    """A law of one's own, as a plain function."""
    return 1.2 + (3e3 * params**-0.4 + 2e4 * tokens**-0.43) ** 0.5


MIXTURE = sj.Mixture(laws=(LAW, sj.laws.HOFFMANN_2022), weights=(0.5, 0.5))


def precise(params: Any, tokens: Any, bits: Any) -> Any:
    """Fewer bits act like fewer parameters."""
    return LAW(params * (1 - jnp.exp(-bits / 2.7)), tokens)


def precise_cost(params: Any, tokens: Any, demand: Any, bits: Any) -> sj.Bill:
    """Fewer bits are served cheaper."""
    busy = (1 + (1e10 / params) ** 2) ** 0.25
    serve = 2 * params * demand.tokens * busy * bits / 16
    return sj.Bill(train=6 * params * tokens, serve=serve)


KUMAR = sj.laws.load("kumar2024")


def quantised_cost(params: Any, tokens: Any, demand: Any, train_bits: Any) -> sj.Bill:
    """Fewer bits are trained and served cheaper."""
    bill = roofline(params, tokens, demand)
    return sj.Bill(train=bill.train * train_bits / 16, serve=bill.serve * train_bits / 16)


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "coupled": (LAW, roofline, {}),
    "coupled, kinked": (LAW, kinked, {}),
    "coupled, chips": (LAW, chips, {}),
    "mixture": (MIXTURE, roofline, {}),
    "own law": (own, roofline, {}),
    "interval choice": (KUMAR, quantised_cost, {"choices": {"train_bits": (4.0, 16.0)}}),
    "interval, own law": (precise, precise_cost, {"choices": {"bits": (2.0, 16.0)}}),
}


def scenarios(count: int, case: str = "coupled") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    low, high = (2.85, 3.2) if CASES[case][0] is KUMAR else (1.9, 2.4)
    return rng.uniform(low, high, count), 10 ** rng.uniform(10, 14, count)


def plan(case: str, loss: Any, demand: Any) -> sj.Plan:
    law, cost, further = CASES[case]
    return sj.plan(law, cost, sj.Demand(output_tokens=demand), loss=loss, **further)


def by_scipy(loss: float, demand: float) -> float:
    """Return the least cost: tokens eliminated in closed form, log N by Brent's method."""
    excess = (loss - LAW.E) ** (1 / LAW.k)
    least = float(np.log(LAW.A / excess) / LAW.alpha)

    def log_cost(log_params: float) -> float:
        params = np.exp(log_params)
        left = excess - LAW.A * params**-LAW.alpha
        tokens = (LAW.B / left) ** (1 / LAW.beta) if left > 0 else np.inf
        busy = (1 + (1e10 / params) ** 2) ** 0.25
        return float(np.log(6 * params * tokens + 2 * params * demand * busy))

    found: Any = scipy.optimize.minimize_scalar(
        log_cost, bounds=(least, least + 12), method="bounded", options={"xatol": 1e-9}
    )
    return float(np.exp(found.fun))


def seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 5) -> float:
    """Return the median time of a call after a warm-up."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def total_cost(law: Any, demand: Any, loss: Any) -> Any:
    return sj.plan(law, roofline, sj.Demand(output_tokens=demand), loss=loss).total_cost


def first_call(case: str) -> None:
    """Print the seconds of the first call in a fresh process, JAX having started."""
    jnp.zeros(1).block_until_ready()
    start = time.perf_counter()
    jax.block_until_ready(plan(case, 3.0 if CASES[case][0] is KUMAR else 2.1, 1e12))
    print(time.perf_counter() - start)


def first_call_apart(case: str) -> float:
    command = [sys.executable, str(Path(__file__)), "first", case]
    return float(subprocess.run(command, capture_output=True, check=True).stdout.split()[-1])


def brute_force(count: int) -> None:
    """Print how far plans are above the best of brute force, by kind of law and cost."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.planning.test_reduced import KINDS, compare_with_brute_force  # noqa: PLC0415

    each = count // len(KINDS)
    for seed, (law, cost, names) in enumerate(KINDS):
        got, wanted, status = compare_with_brute_force(law, cost, names, each, seed)
        some = np.isfinite(wanted) & (status == 0)
        missed = int(np.sum(np.isfinite(wanted) != (status == 0)))
        above = np.max(got[some] / wanted[some]) - 1
        kind = f"{law} x {cost}, {' and '.join(names)}"
        print(f"{kind:60s} {each} scenarios, worst {above:8.1e} above, {missed} missed")


def main() -> None:
    loss, demand = scenarios(SCIPY_SCENARIOS)
    start = time.perf_counter()
    theirs = [by_scipy(*each) for each in zip(loss.tolist(), demand.tolist(), strict=True)]
    scipy_rate = SCIPY_SCENARIOS / (time.perf_counter() - start)
    ours = np.asarray(plan("coupled", loss, demand).total_cost)
    print(f"scipy.optimize.minimize_scalar loop: {scipy_rate:,.0f} plans/s")
    ratio = ours / theirs - 1
    print(f"cost, ours over theirs: {ratio.min():.1e} to {ratio.max():.1e}\n")
    print(f"batches of {BATCH:,}")
    print(f"{'case':18s} first call   plans/s (x scipy)   converged")
    for case in CASES:
        count = BATCH // 5 if "interval" in case else BATCH
        loss, demand = map(jnp.asarray, scenarios(count, case))
        first = first_call_apart(case)
        rate = count / seconds(lambda x, d, c=case: plan(c, x, d), loss, demand, repeats=3)
        solved = float(np.mean(np.asarray(plan(case, loss, demand).status) == 0))
        times = f"{rate:18,.0f} ({rate / scipy_rate:6,.0f})"
        print(f"{case:18s} {first:8.2f} s {times} {solved:20.1%}")
    law = jax.tree.map(jnp.asarray, LAW)
    loss, demand = map(jnp.asarray, scenarios(BATCH))
    value = jax.jit(jax.vmap(total_cost, (None, 0, 0)))
    both = jax.jit(jax.vmap(jax.value_and_grad(total_cost, (0, 1, 2)), (None, 0, 0)))
    ratio = seconds(both, law, demand, loss) / seconds(value, law, demand, loss)
    print(f"\nvalue and full gradient (8 inputs) over value: {ratio:.2f}")
    for count in (10**5, 10**6):
        jax.block_until_ready(plan("coupled", *map(jnp.asarray, scenarios(count))))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"peak memory with {count:,} plans: {peak:,.0f} MiB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["first", case]:
            first_call(case)
        case ["brute", count]:
            brute_force(int(count))
        case _:
            main()
