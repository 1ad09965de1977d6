"""`scaling-jax train`: one training run, from a planned size to its record."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scaling_jax.cli.options import OptionalFloat, Switch
from scaling_jax.cli.show import print_json, print_table
from scaling_jax.cli.training import CorpusOptions, OptionalInt, ProcessOptions, training_bar

if TYPE_CHECKING:
    from scaling_jax.shapes import TransformerShape
    from scaling_jax.training import Corpus, RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeOptions:
    """The model: a size to come close to, or a shape."""

    params: OptionalFloat = None
    """Parameters; a hardware-friendly shape of about this size is chosen."""
    multiple: int = 64
    """With --params: the width is a multiple of this."""
    d_model: OptionalInt = None
    """Width; with it give --layers and --heads instead of --params."""
    layers: OptionalInt = None
    """Layers."""
    heads: OptionalInt = None
    """Query heads."""
    kv_heads: OptionalInt = None
    """Key-value heads (default a quarter of the heads)."""
    d_ff: OptionalInt = None
    """Width of the MLP (default 4 x --d-model)."""
    gated: Switch = False
    """SwiGLU instead of GELU."""
    untied: Switch = False
    """A matrix of its own for the output."""

    def shape(self, vocab_size: int) -> "TransformerShape":
        """Return the shape, for a corpus of so many different tokens."""
        from scaling_jax.shapes import TransformerShape, shape_for  # noqa: PLC0415

        sizes = (self.d_model, self.layers, self.heads)
        if (self.params is None) == (sizes == (None, None, None)):
            raise ValueError("give either --params or --d-model, --layers and --heads")
        if self.params is not None:
            return shape_for(
                self.params, vocab_size=vocab_size, multiple=self.multiple,
                tied=not self.untied, gated=self.gated,
            )  # fmt: skip
        if self.d_model is None or self.layers is None or self.heads is None:
            raise ValueError("--d-model, --layers and --heads go together; give all three")
        kv_heads = max(self.heads // 4, 1) if self.kv_heads is None else self.kv_heads
        if self.kv_heads is None and self.heads % kv_heads:
            raise ValueError(
                f"--heads is {self.heads}, which a quarter of it does not divide; "
                f"give --kv-heads"
            )
        return TransformerShape(
            d_model=self.d_model,
            layers=self.layers,
            heads=self.heads,
            kv_heads=kv_heads,
            d_ff=4 * self.d_model if self.d_ff is None else self.d_ff,
            vocab_size=vocab_size,
            tied=not self.untied,
            gated=self.gated,
        ).check()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """One training run; started again after a kill, it goes on where it was.

    Example: --params 2e5 --tokens-per-param 20 --out run
    """

    out: Path
    """The run's folder: metrics, checkpoints, record."""
    shape: ShapeOptions
    tokens: OptionalFloat = None
    """Tokens to train on."""
    tokens_per_param: OptionalFloat = None
    """Tokens to train on, as a multiple of the parameters."""
    data: CorpusOptions
    length: int = 128
    """Tokens per sequence."""
    batch: int = 8
    """Sequences per step, over all devices."""
    accumulate: int = 1
    """Micro-batches per step."""
    recipe: Literal["sardana", "narrow", "adamw"] = "sardana"
    """Optimiser and schedule: the paper's Lion, the same for widths below 100, or AdamW."""
    positions: Literal["alibi", "rotary"] = "alibi"
    """How the model knows where a token stands."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of activations; parameters are float32."""
    remat: Switch = False
    """Recompute activations in the backward pass, to save memory."""
    seed: int = 0
    """Of the parameters and of the data's order."""
    repeats: Switch = False
    """See tokens more than once where the corpus is too small."""
    fsdp: int = 1
    """Devices that share one copy of the parameters."""
    checkpoint_seconds: float = 60.0
    """Least time between two checkpoints."""
    processes: ProcessOptions
    json: Switch = False
    """Print the record as one JSON object."""

    def run(self) -> None:
        """Train and print the record."""
        self.processes.start(self.out / ".compiled")
        from scaling_jax.training import PlannedRun, train  # noqa: PLC0415

        corpus = self.data.open(self.out)
        config = self._config(corpus)
        with training_bar() as (started, moved):
            started(PlannedRun(self.out.name, config))
            record = train(
                config, corpus, self.out, fsdp=self.fsdp,
                checkpoint_seconds=self.checkpoint_seconds, progress=moved,
            )  # fmt: skip
        row = dataclasses.asdict(record)
        print_json(row) if self.json else _print(row)
        if record.status == "diverged":
            last = record.last_checkpoint
            kept = "no good checkpoint" if last is None else f"last good checkpoint {last}"
            where = f"at step {record.steps:,} of {config.steps:,}"
            print(f"scaling-jax: the loss was not finite {where} ({kept})", file=sys.stderr)
            raise SystemExit(1)

    def _config(self, corpus: "Corpus") -> "RunConfig":
        from scaling_jax.training import RECIPES, ModelOptions, RunConfig  # noqa: PLC0415

        shape = self.shape.shape(corpus.vocab_size)
        if (self.tokens is None) == (self.tokens_per_param is None):
            raise ValueError("give one of --tokens and --tokens-per-param")
        for name in ("tokens", "tokens_per_param"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is {value:g}; it must be positive and finite")
        tokens = self.tokens or (self.tokens_per_param or 0) * shape.params
        return RunConfig(
            shape=shape,
            tokens=round(tokens),
            length=self.length,
            batch=self.batch,
            accumulate=self.accumulate,
            recipe=RECIPES[self.recipe],
            options=ModelOptions(positions=self.positions, dtype=self.dtype, remat=self.remat),
            seed=self.seed,
            repeats=self.repeats,
        )


def _print(row: dict[str, object]) -> None:
    cells = [
        (name, f"{value:.6g}" if isinstance(value, float) else str(value))
        for name, value in row.items()
        if value is not None
    ]
    print_table(f"Run {row['status']}", ("", "value"), cells)
