"""Peak memory of training against what `shapes.py` counts.

Counted are parameters, the optimiser's moment, and the activations that one forward pass
keeps; a gradient lives as long as the activations shrink. Measured are XLA's own plan for the
compiled program (arguments, temporaries and results, less the donated) and by how much the
process grew while it ran. Each size runs in a process of its own, for the peak is one of a
process. Run:

    python benchmarks/train_memory.py
"""

import resource
import subprocess
import sys
from typing import Any

import jax
import numpy as np
from train_throughput import CASES, LENGTH, config_of

from scaling_jax.training.mesh import make_mesh, to_devices
from scaling_jax.training.programs import programs


def resident() -> int:
    """Return the process's peak of resident bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(case: tuple[int, int, int, int]) -> None:
    config, mesh = config_of(*case), make_mesh()
    size = (config.steps_per_call, config.batch, LENGTH + 1)
    windows = to_devices(mesh, np.zeros(size, np.int32), 1)
    made = programs(config.shape, config.options, config.recipe, config.accumulate, mesh)
    state = jax.block_until_ready(made.start(config.seed))
    jitted: Any = made.advance
    advance = jitted.lower(config.schedule, state, windows, 1).compile()
    plan = advance.memory_analysis()
    planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes + plan.output_size_in_bytes
    planned -= plan.alias_size_in_bytes
    before = resident()
    state, _ = jax.block_until_ready(advance(config.schedule, state, windows, 1))
    grown = resident() - before + plan.argument_size_in_bytes
    weights = 4 * config.shape.params
    kept = config.shape.activation_bytes(LENGTH, config.batch)
    counted = 2 * weights + kept
    print(
        f"{case[0]:7d} {case[1]:6d} {case[3]:5d}  {2 * weights / 2**20:10.1f}"
        f"  {kept / 2**20:11.1f}  {planned / 2**20:11.1f} ({planned / counted:4.2f} x)"
        f"  {grown / 2**20:11.1f} ({grown / counted:4.2f} x)",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        report(CASES[int(sys.argv[1])])
    else:
        print("MiB: d_model layers batch  weights, moment  activations  planned  grew")
        for index in range(len(CASES)):
            subprocess.run([sys.executable, __file__, str(index)], check=True)
