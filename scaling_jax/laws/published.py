"""Published coefficient sets, each with its source and caveat.

Those of laws in (N, D) and of repeated data stand here, all others beside their families.
"""

import math

from scaling_jax.laws import (
    distillation,
    experts,
    precision,
    schedules,
    shape,
    sparsity,
    streams,
    vocabulary,
)
from scaling_jax.laws.families import Chinchilla, Kaplan
from scaling_jax.laws.repeated import Repeated
from scaling_jax.laws.sourced import Sourced, Valid

# Hoffmann et al. print E, A, B and two-digit exponents; Sardana et al. plan with three.
HOFFMANN_2022 = Chinchilla(E=1.69, A=406.4, alpha=0.336, B=410.7, beta=0.283)
HOFFMANN_2022_PRINTED = Chinchilla(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28)
BESIROGLU_2024 = Chinchilla(E=1.8172, A=482.01, alpha=0.3478, B=2085.43, beta=0.3658)
SARDANA_2024_100 = Chinchilla(E=0.17, A=7.199, alpha=0.08, B=25.97, beta=0.13)
SARDANA_2024_250 = Chinchilla(E=0.98, A=14.23, alpha=0.13, B=39.54, beta=0.16)
SARDANA_2024_500 = Chinchilla(E=0.95, A=17.07, alpha=0.13, B=35.80, beta=0.16)
SARDANA_2024_ALL = Chinchilla(E=1.45, A=33.66, alpha=0.18, B=138.9, beta=0.24)
KAPLAN_2020 = Kaplan(N_c=6.4e13, alpha_N=0.076, D_c=1.8e13, alpha_D=0.103)
# The paper prints log A, log B and log E; alpha = beta.
MUENNIGHOFF_2023 = Repeated(
    base=Chinchilla(
        E=math.exp(0.6254804),
        A=math.exp(6.255414),
        alpha=0.3526596,
        B=math.exp(7.3049974),
        beta=0.3526596,
    ),
    R_D=15.387756,
    R_N=5.309743,
)

_SARDANA = "Sardana et al. 2024 (arXiv 2401.00448), Table 1"
_ROUNDED = (
    "Exponents are printed to two digits, too coarse to predict losses with: the mean "
    "log residual over the paper's 47 runs is {}. Fit the runs instead."
)

# "Over 400 models of 70 million to over 16 billion parameters on 5 to 500 billion tokens".
_HOFFMANN_RUNS = Valid(params=(7e7, 1.6e10), tokens=(5e9, 5e11))


def _sardana(most: float, tokens: float) -> Valid:
    """Return the ranges of the paper's runs (Table 4) up to so many tokens per parameter."""
    return Valid(params=(1.51e8, 6.05e9), tokens=(1.51e9, tokens), tokens_per_param=(10, most))


_OF_SIZE_AND_DATA: dict[str, Sourced] = {
    "hoffmann2022": Sourced(
        law=HOFFMANN_2022,
        subject="size and data",
        source="Hoffmann et al. 2022 (arXiv 2203.15556), approach 3, with the exponents of "
        "Sardana et al. 2024 (arXiv 2401.00448), appendix A and footnote 2",
        caveat="The set behind every planning result of Sardana et al.; .336 and .283 agree "
        "better with Hoffmann's Table A3 than the printed, rounded .34 and .28.",
        valid=_HOFFMANN_RUNS,
    ),
    "hoffmann2022-printed": Sourced(
        law=HOFFMANN_2022_PRINTED,
        subject="size and data",
        source="Hoffmann et al. 2022 (arXiv 2203.15556), section D.3, equation 10",
        caveat="Rounded exponents: they do not reproduce Hoffmann's allocations nor the plans "
        "of Sardana et al.",
        valid=_HOFFMANN_RUNS,
    ),
    "besiroglu2024": Sourced(
        law=BESIROGLU_2024,
        subject="size and data",
        source="Besiroglu et al. 2024 (arXiv 2404.10102), 240 runs read off Hoffmann's figure",
        caveat="Standard errors: E .03, A 124.58, B 1293.23, alpha .02, beta .02.",
        valid=Valid(
            params=(5.733e7, 1.618e10),
            tokens=(8.187e8, 3.178e11),
            tokens_per_param=(0.456, 341),
        ),
    ),
    "sardana2024-100": Sourced(
        law=SARDANA_2024_100,
        subject="size and data",
        source=f"{_SARDANA}, tokens/param <= 100",
        caveat=_ROUNDED.format("-8.4 %"),
        valid=_sardana(100, 2.46e11),
    ),
    "sardana2024-250": Sourced(
        law=SARDANA_2024_250,
        subject="size and data",
        source=f"{_SARDANA}, tokens/param <= 250",
        caveat=_ROUNDED.format("-3.8 %"),
        valid=_sardana(250, 6.15e11),
    ),
    "sardana2024-500": Sourced(
        law=SARDANA_2024_500,
        subject="size and data",
        source=f"{_SARDANA}, tokens/param <= 500",
        caveat=_ROUNDED.format("-0.3 %"),
        valid=_sardana(500, 1.23e12),
    ),
    "sardana2024-all": Sourced(
        law=SARDANA_2024_ALL,
        subject="size and data",
        source=f"{_SARDANA}, all 47 runs",
        caveat=_ROUNDED.format("-5.9 %")
        + " Its beta hangs on one run, 150M parameters at 10,000 tokens/param.",
        valid=_sardana(10_000, 1.51e12),
    ),
    "kaplan2020": Sourced(
        law=KAPLAN_2020,
        subject="size and data",
        source="Kaplan et al. 2020 (arXiv 2001.08361), equation 1.5 and Table 2",
        caveat="Params are without embeddings; fitted below 1.5e9 params with a learning-rate "
        "schedule that favours large models (Hoffmann et al. 2022, section 1).",
        valid=Valid(params=(768, 1.5e9), tokens=(2.2e7, 2.3e10)),
    ),
    "olmo2024-ladder": Sourced(
        law=Chinchilla(E=1.0421244, A=13.74765, alpha=0.1124664, B=30.58622, beta=0.1574374),
        subject="size and data",
        source="refit of the C4 losses of the OLMo ladder (arXiv 2412.04403), 16 rungs",
        caveat="N counts all parameters but the input embedding. The 13B model of 5T tokens is "
        "predicted 3.7 % too low.",
        valid=Valid(params=(1.9e8, 1.4e9), tokens=(3.8e9, 2.6e11), tokens_per_param=(20, 200)),
    ),
    "muennighoff2023": Sourced(
        law=MUENNIGHOFF_2023,
        subject="repetition",
        source="Muennighoff et al. 2023 (arXiv 2305.16264), as in their code",
        caveat="Reads the axis unique_tokens. Its levels are of their own C4 loss: refit E, A "
        "and B to other runs, and keep the two decays.",
        valid=Valid(
            params=(7e6, 8.7e9), tokens=(1e8, 9e11), axes={"unique_tokens": (1e8, 1.8e11)}
        ),
    ),
}

PUBLISHED: dict[str, Sourced] = {
    **_OF_SIZE_AND_DATA,
    **distillation.PUBLISHED,
    **precision.PUBLISHED,
    **sparsity.PUBLISHED,
    **experts.PUBLISHED,
    **streams.PUBLISHED,
    **shape.PUBLISHED,
    **vocabulary.PUBLISHED,
    **schedules.PUBLISHED,
}
