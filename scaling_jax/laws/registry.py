"""The one registry of families, by the names that files and the command use."""

from scaling_jax.laws.distillation import Distilled
from scaling_jax.laws.downstream import TaskError, TopOneError
from scaling_jax.laws.experts import Abnar, Clark, Krajewski, Leverage, Ludziejewski
from scaling_jax.laws.families import Chinchilla, Coupled, Kaplan, Law, Tied
from scaling_jax.laws.mixtures import Mixture
from scaling_jax.laws.overfitted import Overfitted
from scaling_jax.laws.precision import (
    Capybara,
    Kumar,
    PostTrainingQuantised,
    QuantisationAware,
    Quest,
)
from scaling_jax.laws.repeated import Repeated
from scaling_jax.laws.samples import PassAtK, Samples
from scaling_jax.laws.schedules import KaplanSteps, Schaipp
from scaling_jax.laws.shape import Gemstones, Shaped
from scaling_jax.laws.sparsity import Frantar
from scaling_jax.laws.streams import ParallelStreams, SizeOnly
from scaling_jax.laws.vocabulary import Tao
from scaling_jax.laws.wider import (
    BoundedRational,
    ComputeRatio,
    CoupledGrowth,
    CoupledRatio,
    DriftingRatio,
    Farseer,
    FixedCapacity,
    LogQuadratic,
    SaturatingData,
    ScaledRatio,
    TiedCoupled,
)

FAMILIES: dict[str, type[Law]] = {
    each.__name__.lower(): each
    for each in (
        *(Chinchilla, Coupled, Kaplan, Mixture, Tied),
        *(Repeated, Overfitted),
        *(Kumar, Quest, Capybara, PostTrainingQuantised, QuantisationAware),
        *(Ludziejewski, Krajewski, Clark, Abnar, Leverage),
        *(Frantar, ParallelStreams, SizeOnly, Distilled, Shaped, Gemstones, Tao),
        *(Samples, PassAtK, KaplanSteps, Schaipp, TaskError, TopOneError),
        *(BoundedRational, ComputeRatio, CoupledRatio, DriftingRatio),
        *(Farseer, SaturatingData, ScaledRatio),
        *(TiedCoupled, CoupledGrowth, FixedCapacity, LogQuadratic),
    )
}


def family(name: str) -> type[Law]:
    """Return a family of laws by its name in lower case.

    Raises:
        ValueError: no such family; the sentence names those there are.
    """
    if name not in FAMILIES:
        raise ValueError(f"no family of laws is called {name!r}; known are {known()}")
    return FAMILIES[name]


def known() -> str:
    """Return the names of all families, for sentences."""
    return ", ".join(FAMILIES)
