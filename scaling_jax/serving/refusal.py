"""Failure at the Python edge: one sentence that names the value and what would be right."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.core import Tracer

from scaling_jax._pytree import Number, fields_with_domain
from scaling_jax.serving.records import Operation, Request, ServingError
from scaling_jax.serving.replica import Replica
from scaling_jax.serving.servers import Servers
from scaling_jax.shapes import TransformerShape
from scaling_jax.solve import Status


def check_inputs(inputs: dict[str, Any]) -> None:
    """Raise ValueError for the first single, concrete number outside its domain."""
    for path, record in inputs.items():
        for name, value, domain in fields_with_domain(record, path):
            number = _concrete(value)
            if number is not None and not domain.contains(number):
                raise ValueError(f"{name} is {number:g}; it must be {domain.words}")


def check_formats(servers: Servers, bits: tuple[Number, Number]) -> None:
    """Raise ValueError for weights that the chip's arithmetic has no format for."""
    number = _concrete(bits[0])
    if number is not None and number > max(servers.peak_bits):
        sizes = " and ".join(f"{size}" for size in sorted(servers.peak_bits))
        raise ValueError(
            f"serve_bits is {number:g}; {servers.name or 'the chip'} computes in {sizes} bits, "
            f"so take at most {max(servers.peak_bits)}"
        )


def check_heads(shape: TransformerShape) -> None:
    """Raise ValueError for whole numbers of heads that do not divide what they share."""
    pairs = [("heads", "kv_heads")]
    if shape.head_size is None:
        pairs.append(("d_model", "heads"))
    for whole, part in pairs:
        total, share = _concrete(getattr(shape, whole)), _concrete(getattr(shape, part))
        if not total or not share or total != int(total) or share != int(share):
            continue
        if total % share:
            raise ValueError(
                f"{whole} is {total:g} and {part} {share:g}; {part} must divide {whole}"
            )


def refuse(
    operation: Operation,
    servers: Servers,
    request: Request,
    replicas: Callable[[], list[Replica]],
) -> None:
    """Raise ServingError where a single, concrete model cannot be served as asked."""
    code = _concrete(operation.status)
    if code is None or code == Status.CONVERGED:
        return
    if code != Status.INFEASIBLE:
        raise ValueError("an input is NaN or outside its domain")
    found = replicas()
    rooms = [float(each.limits().room) * servers.stages for each in found]
    if max(rooms) < 1:
        raise ServingError(_too_large(found[-1], servers))
    roomy = [each for each, room in zip(found, rooms, strict=True) if room >= 1]
    for name, what in (("tpot", "token"), ("ttft", "first token")):
        limit = getattr(request, f"max_{name}")
        least, chips = min((float(getattr(r, name)(1.0)), r.chips) for r in roomy)
        if limit is not None and float(limit) < least:
            raise ServingError(
                f"max_{name} is {float(limit):g} s; the least time to a {what} is "
                f"{least:.3g} s, of one sequence on {chips} {servers.name or 'chips'}"
            )
    raise ServingError(
        f"no group meets all limits at once; the largest, of {found[-1].chips} "
        f"{servers.name or 'chips'}, has room for {rooms[-1]:.4g} sequences"
    )


def _too_large(replica: Replica, servers: Servers) -> str:
    have = float(servers.usable_memory) * replica.chips
    weights, needed = float(replica.weight_bytes), float(replica.least_memory)
    cache = needed - weights
    return (
        f"the model does not fit: {weights / 1e9:.4g} GB of weights and {cache / 1e9:.3g} GB "
        f"of cache for one request need {(needed - have) / 1e9:.3g} GB more than the "
        f"{have / 1e9:.4g} GB usable of {replica.chips} {servers.name or 'chips'}; take fewer "
        "bits, larger groups or more stages"
    )


def _concrete(value: Any) -> float | None:
    """Return a single number whose value is known, else None."""
    if value is None or isinstance(value, Tracer) or np.ndim(value):
        return None
    return float(value)
