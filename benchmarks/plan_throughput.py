"""Plans per second against the paper's way, cost of gradients, and scaling with the batch.

The opponent is `scipy.optimize.newton` on equation 12 of the paper, one scenario at a time,
with the start and the tolerances of the authors' code. Run:

    python benchmarks/plan_throughput.py
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import scaling_jax as sj
from scaling_jax.laws import HOFFMANN_2022 as LAW

jax.config.update("jax_enable_x64", True)

SCIPY_SCENARIOS = 2_000
SIZES = (10**4, 10**5, 10**6, 10**7)


def scenarios(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(1.8, 3.0, count), 10 ** rng.uniform(9, 14, count)


def plan_by_newton(loss: float, demand: float) -> tuple[float, float]:
    """Equation 12, solved as in the authors' code."""
    e, a, alpha, b, beta = LAW.E, LAW.A, LAW.alpha, LAW.B, LAW.beta
    first, second = beta * b / alpha + b, demand * beta * b / (3 * alpha)

    def equation(tokens: Any) -> Any:
        return e - loss + first * tokens**-beta + second * tokens ** (-beta - 1)

    tokens: Any = scipy.optimize.newton(equation, 1e8, tol=1e-5, rtol=1e-8, maxiter=100)
    return float((a / (loss - e - b / tokens**beta)) ** (1 / alpha)), float(tokens)


def plan(loss: jax.Array, demand: jax.Array) -> sj.Plan:
    return sj.plan(LAW, sj.Flops(), sj.Demand(output_tokens=demand), loss=loss)


def size_and_data(loss: jax.Array, demand: jax.Array) -> Any:
    best = plan(loss, demand)
    return best.params, best.tokens


def total_cost(law: sj.Chinchilla, demand: jax.Array, loss: jax.Array) -> Any:
    return sj.plan(law, sj.Flops(), sj.Demand(output_tokens=demand), loss=loss).total_cost


def value(loss: jax.Array, demand: jax.Array) -> Any:
    return total_cost(LAW, demand, loss)


def value_and_gradient(loss: jax.Array, demand: jax.Array) -> Any:
    """The cost and its derivatives with respect to five coefficients, demand and loss."""
    law = jax.tree.map(jnp.asarray, LAW)
    return jax.value_and_grad(total_cost, (0, 1, 2))(law, demand, loss)


def seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 7) -> float:
    """Return the median time of a call after a warm-up."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def rate(function: Callable[..., Any], count: int) -> float:
    loss, demand = map(jnp.asarray, scenarios(count))
    return count / seconds(jax.jit(jax.vmap(function)), loss, demand)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    loss, demand = scenarios(SCIPY_SCENARIOS)
    start = time.perf_counter()
    theirs = [
        plan_by_newton(*each) for each in zip(loss.tolist(), demand.tolist(), strict=True)
    ]
    scipy_rate = SCIPY_SCENARIOS / (time.perf_counter() - start)
    ours = jax.jit(jax.vmap(size_and_data))(loss, demand)
    difference = np.max(np.abs(np.transpose(ours) / np.array(theirs) - 1))
    print(f"scipy.optimize.newton loop: {scipy_rate:,.0f} plans/s")
    print(f"largest relative difference of N* and D*: {difference:.1e}\n")

    print("scenarios  N*, D*: plans/s (x scipy)    whole Plan: plans/s (x scipy)   peak memory")
    before = peak_bytes()
    for count in SIZES:
        pair, whole = rate(size_and_data, count), rate(plan, count)
        print(
            f"{count:9.0e}  {pair:14,.0f} ({pair / scipy_rate:6,.0f})"
            f"  {whole:20,.0f} ({whole / scipy_rate:6,.0f})"
            f"    {peak_bytes() / 2**20:8,.0f} MiB"
        )
    print(f"memory per plan: {(peak_bytes() - before) / SIZES[-1]:.0f} bytes")

    count = 10**5
    ratio = rate(value, count) / rate(value_and_gradient, count)
    print(f"\nvalue and full gradient (7 inputs) over value, {count:,} scenarios: {ratio:.2f}")


if __name__ == "__main__":
    main()
