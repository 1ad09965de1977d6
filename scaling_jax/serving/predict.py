"""What the roofline says of measured rows, as one pure function of the efficiencies."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.hardware import CHIPS
from scaling_jax.serving.efficiency import Efficiency
from scaling_jax.serving.measured import KINDS, Measurement, Measurements
from scaling_jax.serving.records import Request
from scaling_jax.serving.replica import Formats, Replica, replica_of
from scaling_jax.serving.servers import Servers
from scaling_jax.shapes import Experts, TransformerShape


class Block(NamedTuple):
    """Rows of one structure (dense or latent attention, chips of the same formats), stacked."""

    rows: np.ndarray
    shape: TransformerShape
    servers: Servers
    request: Request
    formats: Formats
    chips: np.ndarray
    concurrency: np.ndarray
    max_batch: np.ndarray
    kind: np.ndarray
    together: np.ndarray


def blocks(measured: Measurements) -> list[Block]:
    """Return the usable rows of a table, stacked by structure."""
    groups: dict[Any, list[int]] = {}
    for index, item in enumerate(measured.items):
        if item is not None:
            shape, servers = _parts(item, measured)
            key = jax.tree.structure((shape, servers))
            groups.setdefault(key, []).append(index)
    return [_stacked(measured, index) for index in groups.values()]


def _parts(item: Measurement, measured: Measurements) -> tuple[TransformerShape, Servers]:
    shape = measured.shapes[item.model]
    if shape.experts is None and shape.latent is None:
        # A mixture of nothing, so that dense models stack with others.
        nothing = Experts(count=1.0, active=0.0, d_ff=0.0, shared=0.0, layers=0.0)
        shape = dataclasses.replace(shape, experts=nothing)
    servers = Servers.of(
        CHIPS[item.chip], item.serve_bits, dollars_per_hour=1.0, efficiency=Efficiency()
    )
    return shape, dataclasses.replace(servers, name="", watts=1.0)


def _stacked(measured: Measurements, index: list[int]) -> Block:
    items = [item for i in index if (item := measured.items[i]) is not None]
    parts = [_parts(item, measured) for item in items]
    shape, servers = jax.tree.map(lambda *leaves: np.array(leaves, float), *parts)

    def column(name: str) -> np.ndarray:
        return np.array([getattr(item, name) for item in items], float)

    return Block(
        rows=np.array(index),
        shape=shape,
        servers=servers,
        request=Request(
            input_tokens=column("input_tokens"), output_tokens=column("output_tokens")
        ),
        formats=Formats(column("serve_bits"), column("kv_bits")),
        chips=column("chips"),
        concurrency=column("concurrency"),
        max_batch=column("max_batch"),
        kind=np.array([KINDS.index(item.kind) for item in items]),
        together=np.array([item.together for item in items]),
    )


def predicted(block: Block, efficiency: Efficiency) -> jax.Array:
    """Return what is predicted for the rows of a block, given an efficiency of each row."""
    servers = dataclasses.replace(block.servers, efficiency=efficiency)
    replica = replica_of(block.shape, servers, block.request, block.formats, block.chips)
    limits = replica.limits()
    engine = jnp.where(jnp.isnan(block.max_batch), limits.engine, block.max_batch)
    full = jnp.maximum(jnp.minimum(limits.room, engine), 1.0)
    batch = jnp.where(jnp.isnan(block.concurrency), full, block.concurrency)
    values = _values(replica, batch, block.together)
    return jnp.stack([values[kind] for kind in KINDS])[block.kind, np.arange(batch.size)]


def _values(replica: Replica, batch: jax.Array, together: np.ndarray) -> dict[str, Any]:
    tpot, step = replica.tpot(batch), replica.decoding.seconds(batch)
    reading = replica.prompt.seconds(batch)
    return {
        "throughput": batch / tpot,
        "tpot": tpot,
        "step": step,
        "ttft": jnp.where(together, reading, replica.ttft(batch)),
        "latency": reading + replica.request.output_tokens * step,
    }
