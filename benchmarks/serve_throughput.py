"""Operating points and bills per second, batched in 64-bit.

    python benchmarks/serve_throughput.py

Half of the sizes are dense, the others a tenth active; 2**18 points, the best of five.
"""

import time

import jax
import numpy as np

from scaling_jax.costs import Demand, TrainFleet
from scaling_jax.serving import LLAMA, Request, Served, Servers
from scaling_jax.serving.operating import best_operation
from scaling_jax.serving.replica import Formats

jax.config.update("jax_enable_x64", True)
POINTS = 2**18


def rate(function, *arguments) -> float:
    """Return calls times points per second."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return POINTS / min(times)


def main() -> None:
    rng = np.random.default_rng(0)

    def between(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), POINTS))

    servers = Servers.of("H100-SXM", 8)
    sizes = between(1e9, 5e11)
    request = Request(
        input_tokens=between(30, 1e4),
        output_tokens=between(30, 3e3),
        max_tpot=between(0.01, 0.3),
    )
    operation = jax.jit(
        lambda shape, request: best_operation(shape, servers, request, Formats(8.0, 8.0))
    )
    for name, active in (("dense", None), ("experts", sizes / 10)):
        shape = jax.jit(LLAMA.shape)(sizes, active_params=active)
        print(f"operating points, {name}: {rate(operation, shape, request) / 1e6:.2f} M/s")
    cost = Served(train=TrainFleet.of("H100-SXM"), servers=servers, max_tpot=0.05)
    bill = jax.jit(lambda n, requests: cost(n, 20 * n, Demand.of_requests(requests)).total)
    print(f"bills, dense: {rate(bill, sizes, between(1e6, 1e12)) / 1e6:.2f} M/s")


if __name__ == "__main__":
    main()
