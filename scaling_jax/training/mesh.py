"""Where a run's arrays live: one mesh with a data and an FSDP axis, over all processes."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

AXES = ("data", "fsdp")


def make_mesh(fsdp: int = 1) -> Mesh:
    """Return all devices of all processes as data x fsdp.

    Batches are split over both axes; parameters and moments over the second, so that `fsdp`
    devices hold one copy between them.

    Raises:
        ValueError: `fsdp` does not divide the number of devices.
    """
    devices = jax.device_count()
    if fsdp < 1 or devices % fsdp:
        raise ValueError(f"fsdp is {fsdp}; it must divide the {devices} devices")
    # Auto: XLA places the intermediate results.
    return jax.make_mesh((devices // fsdp, fsdp), AXES, axis_types=(AxisType.Auto,) * 2)


def state_shardings(mesh: Mesh, state: Any) -> Any:
    """Return a sharding for each leaf: its largest axis that `fsdp` divides is split."""
    parts = mesh.shape["fsdp"]

    def sharding(leaf: Any) -> NamedSharding:
        split = [size if size % parts == 0 and size > 1 else 0 for size in leaf.shape]
        axes: list[str | None] = [None] * len(split)
        if parts > 1 and len(split) > 1 and max(split):
            axes[int(np.argmax(split))] = "fsdp"
        return NamedSharding(mesh, jax.P(*axes))

    return jax.tree.map(sharding, state)


def batch_sharding(mesh: Mesh, batch_axis: int) -> NamedSharding:
    """Return the sharding that splits an array's batch axis over every device."""
    return NamedSharding(mesh, jax.P(*(None,) * batch_axis, AXES))


def check_batch(mesh: Mesh, batch: int, accumulate: int) -> None:
    """Raise a ValueError unless every device gets as many sequences as every other."""
    if batch // accumulate % mesh.size:
        parts = f" in {accumulate} parts of {batch // accumulate}" if accumulate > 1 else ""
        raise ValueError(
            f"batch is {batch}{parts}; the {mesh.size} devices must divide "
            f"{'each part' if parts else 'it'}"
        )


def to_devices(mesh: Mesh, windows: np.ndarray, batch_axis: int) -> jax.Array:
    """Return this process's part of a batch as its part of one array over the mesh."""
    return jax.make_array_from_process_local_data(batch_sharding(mesh, batch_axis), windows)
