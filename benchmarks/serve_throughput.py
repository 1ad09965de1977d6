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


def rate(function, *arguments) -> str:
    """Return points per second, and per second of one core: on a shared machine the second."""
    jax.block_until_ready(function(*arguments))
    walls, cores = [], []
    for _ in range(5):
        wall, core = time.perf_counter(), time.process_time()
        jax.block_until_ready(function(*arguments))
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    return f"{POINTS / min(walls) / 1e6:.2f} M/s, {POINTS / min(cores) / 1e6:.2f} M/s a core"


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
        print(f"operating points, {name}: {rate(operation, shape, request)}")
    cost = Served(train=TrainFleet.of("H100-SXM"), servers=servers, max_tpot=0.05)
    bill = jax.jit(lambda n, requests: cost(n, 20 * n, Demand.of_requests(requests)).total)
    print(f"bills, dense: {rate(bill, sizes, between(1e6, 1e12))}")


if __name__ == "__main__":
    main()
