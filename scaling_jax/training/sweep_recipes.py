"""The sweeps by name: which shapes are trained, and to how many tokens per parameter."""

import dataclasses
from collections import Counter
from typing import NamedTuple

from scaling_jax.shapes import TransformerShape
from scaling_jax.training.config import DEFAULT_OPTIONS, RunConfig
from scaling_jax.training.model import ModelOptions
from scaling_jax.training.recipe import NARROW, SARDANA, Recipe


class Size(NamedTuple):
    """One model of a sweep: its shape, sequences per batch, and ratios tokens/param."""

    name: str
    shape: TransformerShape
    batch: int
    ratios: tuple[float, ...]


class PlannedRun(NamedTuple):
    """One run of a sweep and the name of its folder."""

    name: str
    config: RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepRecipe:
    """Shapes x ratios, one training run each.

    Attributes:
        name: how the command line calls it.
        sizes: the models.
        length: tokens per sequence.
        recipe: how each is optimised.
        options: what each computes.
        heldout_tokens: on which each final loss is measured.
        chip: of `scaling_jax.hardware`, for the estimates; None for this machine.
        chips: how many of them.
        mfu: to assume in estimates.
    """

    name: str
    sizes: tuple[Size, ...]
    length: int
    recipe: Recipe = SARDANA
    options: ModelOptions = DEFAULT_OPTIONS
    heldout_tokens: int = 2**20
    chip: str | None = None
    chips: int = 1
    mfu: float = 0.4

    def runs(self, seed: int = 0) -> list[PlannedRun]:
        """Return the runs, least work first.

        Raises:
            ValueError: two of them have one name, and so one folder.
        """
        planned = [
            PlannedRun(
                f"{size.name}-{ratio:g}",
                RunConfig(
                    shape=size.shape,
                    tokens=round(ratio * size.shape.params),
                    length=self.length,
                    batch=size.batch,
                    recipe=self.recipe,
                    options=self.options,
                    seed=seed,
                    heldout_tokens=self.heldout_tokens,
                ),
            )
            for size in self.sizes
            for ratio in size.ratios
        ]
        names = Counter(run.name for run in planned)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(
                f"two runs of the sweep {self.name} are called {twice[0]}, which is their "
                "folder; give one of the sizes another name or another ratio"
            )
        return sorted(planned, key=lambda run: run.config.tokens * run.config.shape.params)


_TYPICAL = (10, 15, 20, 30, 50, 75, 100)


def _shape(d_model: int, layers: int, heads: int, vocab_size: int) -> TransformerShape:
    """As in Sardana et al., Table 4: a key-value head for four heads, an MLP 4 d wide."""
    return TransformerShape(
        d_model=d_model, layers=layers, heads=heads, kv_heads=heads // 4, d_ff=4 * d_model,
        vocab_size=vocab_size,
    )  # fmt: skip


def _sardana(
    name: str, d_model: int, heads: int, layers: int, batch: int, ratios: tuple[float, ...]
) -> Size:
    return Size(name, _shape(d_model, layers, heads, 100_352), batch, ratios)


# Sardana et al. (arXiv 2401.00448), Table 4, all 47 runs. The 150M run at 10,000 tokens/param
# had batch 960 (their footnote 3).
SARDANA47 = SweepRecipe(
    name="sardana47",
    length=4096,
    options=ModelOptions(dtype="bfloat16", remat=True),
    chip="H100-SXM",
    chips=64,
    sizes=(
        _sardana("150M", 768, 12, 12, 160, (*_TYPICAL, 250, 500, 1000, 5000)),
        _sardana("150M", 768, 12, 12, 960, (10_000,)),
        _sardana("370M", 1024, 16, 24, 320, (*_TYPICAL, 250, 500, 1000)),
        _sardana("750M", 1536, 12, 24, 480, (*_TYPICAL, 250, 500)),
        _sardana("1.3B", 2048, 16, 24, 960, (*_TYPICAL, 250)),
        _sardana("2.5B", 2560, 20, 32, 960, (10, 15, 20, 50, 100, 250, 500)),
        _sardana("6B", 4096, 32, 32, 960, (20,)),
    ),
)

# The same structure at the scale of two CPU cores, on bytes: a factor 40 in size as in the
# paper, and the smallest model to 10,000 tokens per parameter.
CPU47 = SweepRecipe(
    name="cpu47",
    recipe=NARROW,
    length=128,
    mfu=0.2,
    sizes=(
        Size("5k", _shape(12, 1, 4, 256), 2, (*_TYPICAL, 250, 500, 1000, 5000, 10_000)),
        Size("10k", _shape(16, 2, 4, 256), 4, (*_TYPICAL, 250, 500, 1000)),
        Size("18k", _shape(24, 2, 4, 256), 4, (*_TYPICAL, 250, 500)),
        Size("41k", _shape(32, 3, 4, 256), 8, (*_TYPICAL, 250)),
        Size("85k", _shape(48, 3, 4, 256), 8, (10, 15, 20, 50, 100, 250, 500)),
        Size("189k", _shape(64, 4, 4, 256), 16, (20,)),
    ),
)

# Two sizes and three ratios, in under two minutes on two cores.
SMOKE = SweepRecipe(
    name="smoke",
    recipe=NARROW,
    length=64,
    mfu=0.1,
    heldout_tokens=2**17,
    sizes=(
        Size("5k", _shape(12, 1, 4, 256), 2, (10, 30, 100)),
        Size("10k", _shape(16, 2, 4, 256), 4, (10, 30, 100)),
    ),
)

SWEEPS = {recipe.name: recipe for recipe in (SARDANA47, CPU47, SMOKE)}
