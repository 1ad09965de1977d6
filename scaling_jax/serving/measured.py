"""Tables of measured serving: read, and understood as what the roofline predicts.

A table has the columns `model, chip, n_chips, weight_dtype, kv_dtype, concurrency,
input_tokens, output_tokens, metric, value` and any others; a second one has the shapes of its
models.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaling_jax.hardware import CHIPS, Chip
from scaling_jax.shapes import Experts, Latent, TransformerShape, Window

# What a metric is, and what makes its value SI.
METRICS = {
    "output tok/s total": ("throughput", 1.0),
    "output tok/s per chip": ("throughput", 1.0),
    "TPOT ms": ("tpot", 1e-3),
    "decode step ms": ("step", 1e-3),
    "TTFT ms": ("ttft", 1e-3),
    "request latency s": ("latency", 1.0),
}
KINDS = ("throughput", "tpot", "step", "ttft", "latency")
_BITS = {"bf16": 16, "fp16": 16, "": 16, "fp8": 8, "int8": 8, "fp4": 4, "int4": 4}
_COLUMNS = (
    "model chip n_chips weight_dtype concurrency input_tokens output_tokens metric value"
).split()


class Measurement(NamedTuple):
    """One measured number, in SI units.

    Attributes:
        kind: of KINDS.
        concurrency: sequences at once; None at full load.
        max_batch: the engine's own limit, where it is known.
        together: all prompts of the batch are read at once, not one beside decoding.
    """

    model: str
    chip: str
    chips: float
    serve_bits: float
    kv_bits: float
    concurrency: float | None
    max_batch: float | None
    input_tokens: float
    output_tokens: float
    kind: str
    value: float
    together: bool = False


class Measurements(NamedTuple):
    """Measured numbers, with the shapes of their models.

    `rows[i]` is the text that `items[i]` was read from, None where nothing is predicted for it.
    """

    items: tuple[Measurement | None, ...]
    rows: tuple[Mapping[str, str], ...]
    shapes: Mapping[str, TransformerShape]

    def column(self, name: str) -> np.ndarray:
        """Return one column of the text."""
        return np.array([row.get(name, "") for row in self.rows])

    def where(self, mask: Any) -> "Measurements":
        """Return the rows at which the mask is true."""
        kept = np.flatnonzero(np.asarray(mask))
        return Measurements(
            tuple(self.items[i] for i in kept), tuple(self.rows[i] for i in kept), self.shapes
        )

    @property
    def usable(self) -> np.ndarray:
        """Whether a prediction of the row is possible."""
        return np.array([item is not None for item in self.items], bool)


def read_measured(path: str | Path, models: str | Path) -> Measurements:
    """Read a table of measurements, and one of its models' shapes.

    Raises:
        ValueError: a column is missing.
    """
    rows = _read(path, _COLUMNS)
    shapes = {
        row["model"]: shape_of(row) for row in _read(models, ["model", "layers", "d_model"])
    }
    return measurements(rows, shapes)


def measurements(
    rows: Iterable[Mapping[str, str]], shapes: Mapping[str, TransformerShape]
) -> Measurements:
    """Return rows of text as measurements of models of these shapes."""
    kept = tuple(rows)
    return Measurements(tuple(_understood(row, shapes) for row in kept), kept, shapes)


def _read(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path} has no column {missing[0]!r}; it needs {columns}")
        return list(reader)


def shape_of(row: Mapping[str, str]) -> TransformerShape:
    """Return the shape that a row of a table of models describes."""

    def number(name: str, default: float = 0.0) -> float:
        return float(row.get(name) or default)

    experts = latent = window = None
    d_ff = number("d_ff")
    if number("experts"):
        experts = Experts(
            count=number("experts"),
            active=number("active_experts"),
            d_ff=d_ff,
            shared=number("shared_experts"),
            layers=number("moe_layers", number("layers")),
        )
        d_ff = number("dense_d_ff", d_ff)
    if number("kv_lora_rank"):
        latent = Latent(
            kv_rank=number("kv_lora_rank"),
            query_rank=number("q_lora_rank"),
            nope=number("qk_nope_dim"),
            rope=number("qk_rope_dim"),
            value=number("v_dim"),
        )
    if number("window"):
        window = Window(tokens=number("window"), layers=number("window_layers"))
    return TransformerShape(
        d_model=number("d_model"),
        layers=number("layers"),
        heads=number("heads"),
        kv_heads=number("kv_heads"),
        d_ff=d_ff,
        vocab_size=number("vocab"),
        tied=bool(number("tied")),
        gated=bool(number("gated")),
        head_size=number("head_dim"),
        experts=experts,
        latent=latent,
        window=window,
        parallel=bool(number("parallel_block")),
    )


def find_chip(name: str) -> Chip | None:
    """Return the catalogued chip that a table means: `H100-SXM-80GB` is H100-SXM.

    Example:
        >>> find_chip("A100-SXM-40GB").name, find_chip("h100_sxm").name, find_chip("abacus")
        ('A100-40GB', 'H100-SXM', None)
    """
    known = {each.lower(): each for each in CHIPS}
    plain = name.lower().replace("_", "-")
    tries = (plain, re.sub(r"-\d+gb$", "", plain), plain.replace("-sxm", ""))
    found = next((known[each] for each in tries if each in known), None)
    return CHIPS[found] if found else None


def _understood(
    row: Mapping[str, str], shapes: Mapping[str, TransformerShape]
) -> Measurement | None:
    kind, unit = METRICS.get(row["metric"], (None, 1.0))
    chip = find_chip(row["chip"])
    chips, value = _number(row["n_chips"]), _number(row["value"])
    lengths = _number(row["input_tokens"]), _number(row["output_tokens"])
    weights = _BITS.get(row["weight_dtype"], 0)
    full, concurrency, limit = _concurrency(row["concurrency"])
    if not (kind and chip and weights and row["model"] in shapes and (full or concurrency)):
        return None
    if not (chips and value and lengths[0] and lengths[1]):
        return None
    total = chips if "per chip" in row["metric"] else 1.0
    return Measurement(
        model=row["model"],
        chip=chip.name,
        chips=chips,
        serve_bits=weights,
        kv_bits=_BITS.get(row.get("kv_dtype", ""), 16),
        concurrency=concurrency,
        max_batch=limit,
        input_tokens=lengths[0],
        output_tokens=lengths[1],
        kind=kind,
        value=value * unit * total,
        together="whole batch" in row.get("note", "") or kind == "latency",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _concurrency(text: str) -> tuple[bool, float | None, float | None]:
    """Return (at full load, sequences at once, the engine's limit)."""
    if text in {"", "max"}:
        return True, None, None
    limit = re.match(r"max_num_seqs (\d+)", text)
    if limit:
        return True, None, float(limit[1])
    number = re.match(r"[\d.]+(?=$| \()", text)
    return False, float(number[0]) if number else None, None
