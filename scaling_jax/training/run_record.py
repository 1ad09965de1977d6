"""What is known of a run when it ends: one flat row, which `read_runs` takes."""

import dataclasses
import importlib.metadata
import json
import math
from pathlib import Path
from typing import Any, Literal

from scaling_jax._files import write_whole
from scaling_jax._json import strict
from scaling_jax.training.config import RunConfig
from scaling_jax.training.corpus import Corpus
from scaling_jax.training.loading import available


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, finished or diverged.

    A number that is not finite is null in its file. A column that an older version did not
    write reads as its default or, where it has none, as NaN; one that only a newer version
    knows is passed over.

    Attributes:
        status: "finished", or "diverged" at a loss that was not finite.
        params, tokens: N and D, tokens being those really seen.
        steps: really taken; those of a diverged run end with the first loss that was not
            finite, and are all where that was the held-out one.
        loss: on the held-out documents at the end, nats per token.
        train_loss: smoothed over the last ten batches, or all of fewer, the paper's measure:
            in small batches it is much noisier than `loss`.
        train_flops: 6 N D.
        exact_train_flops: by `TransformerShape.train_flops`, attention in full.
        epochs: passes over the corpus; at most 1 unless repeats were allowed.
        seconds: of training, over all sittings, compilation included.
        mfu: exact FLOP/s over the devices' measured matrix-product peak.
        last_checkpoint: step of a diverged run's newest checkpoint whose loss was finite.
    """

    status: Literal["finished", "diverged"]
    params: int
    tokens: int
    tokens_per_param: float
    loss: float
    train_loss: float
    non_embedding_params: int
    d_model: int
    layers: int
    heads: int
    kv_heads: int
    d_ff: int
    vocab_size: int
    positions: str
    dtype: str
    length: int
    batch: int
    steps: int
    recipe: str
    peak_learning_rate: float
    warmup_steps: int
    final_fraction: float
    seed: int
    corpus: str
    epochs: float
    heldout_tokens: int
    train_flops: float
    exact_train_flops: float
    seconds: float
    tokens_per_second: float
    mfu: float
    devices: str
    jax: str
    last_checkpoint: int | None = None

    def write(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        content = strict(dataclasses.asdict(self))
        write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "RunRecord":
        """Read a record.

        Raises:
            ValueError: the file is no record.
        """
        try:
            content = json.loads(path.read_text("utf-8"))
            if lacking := [name for name in _NEEDED if name not in content]:
                raise ValueError(f"it has no {lacking[0]}")
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} is not the record of a run ({error}); remove it, and the run goes on "
                f"from its last checkpoint"
            ) from error
        columns = {}
        for field in dataclasses.fields(cls):
            required = field.default is dataclasses.MISSING
            value = content.get(field.name, None if required else field.default)
            columns[field.name] = math.nan if required and value is None else value
        return cls(**columns)


# Without these a file is no record, of whatever version.
_NEEDED = ("status", "params", "tokens", "loss")


def facts(config: RunConfig, corpus: Corpus, steps: int) -> dict[str, Any]:
    """Return the columns that so many steps of a run have, however they went."""
    shape, schedule = config.shape, config.schedule
    work = config.work(steps)
    return {
        **work._asdict(),
        "params": shape.params,
        "tokens_per_param": work.tokens / shape.params,
        "non_embedding_params": shape.non_embedding_params,
        **{
            name: getattr(shape, name)
            for name in ("d_model", "layers", "heads", "kv_heads", "d_ff", "vocab_size")
        },
        "positions": config.options.positions,
        "dtype": config.options.dtype,
        "length": config.length,
        "batch": config.batch,
        "steps": steps,
        "recipe": config.recipe.name,
        "peak_learning_rate": schedule.peak,
        "warmup_steps": schedule.warmup_steps,
        "final_fraction": config.recipe.final_fraction,
        "seed": config.seed,
        "corpus": corpus.fingerprint,
        "epochs": work.tokens / available(corpus, config.length),
        "jax": importlib.metadata.version("jax"),
    }
