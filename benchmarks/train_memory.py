"""Peak memory of a training step against what the shape counts.

Counted: parameters and gradients, the optimiser's moments (one for Lion), and the activations
kept for the backward pass, all in 32-bit. Measured: what XLA allots to the compiled program.

    python benchmarks/train_memory.py
"""

import jax
import jax.numpy as jnp
from train_throughput import CASES, LENGTH, config_of

from scaling_jax.training.mesh import make_mesh
from scaling_jax.training.programs import programs

MEBI = 2**20


def main() -> None:
    print("d_model layers batch  parameters + optimiser  activations  counted  peak  ratio (MiB)")
    for case in CASES:
        config = config_of(*case)
        shape = config.shape
        made = programs(shape, config.options, config.recipe, config.accumulate, make_mesh())
        windows = jax.ShapeDtypeStruct((1, config.batch, LENGTH + 1), jnp.int32)
        compiled = made.advance.lower(config.schedule, made.like, windows, 1).compile()  # pyright: ignore[reportFunctionMemberAccess]
        told = compiled.memory_analysis()
        # The state is donated: its output lies where its input was.
        peak = told.argument_size_in_bytes + told.temp_size_in_bytes
        state = 3 * 4 * shape.params
        activations = shape.activation_bytes(LENGTH, config.batch)
        counted = state + activations
        print(
            f"{case[0]:7d} {case[1]:6d} {case[3]:5d}  {state / MEBI:22.1f}"
            f"  {activations / MEBI:11.1f}  {counted / MEBI:7.1f}  {peak / MEBI:5.1f}"
            f"  {peak / counted:5.2f}"
        )


if __name__ == "__main__":
    main()
