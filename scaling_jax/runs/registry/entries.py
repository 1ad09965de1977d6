"""The public tables of runs: what each is, where it lies, and who may do what with it.

`checksums.txt` beside this file has the SHA-256 of every raw file and its place, owner /
repository / commit / path, as `sha256sum` prints them: it is the one record of what a table
is made of.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from scaling_jax.runs.registry import folders, readers
from scaling_jax.runs.registry.parsing import Row

HOST = "https://raw.githubusercontent.com"
_NOT_STATED = "none stated"
_LINES = Path(__file__).with_name("checksums.txt").read_text(encoding="utf-8").splitlines()
_CHECKSUMS = {place: sha256 for sha256, _, place in (line.partition("  ") for line in _LINES)}


class Entry(NamedTuple):
    """A public table of runs.

    Attributes:
        about: the runs, in a line.
        files: SHA-256 of each raw file by its place.
        read: from the local paths of the files, in order, to the rows of the table.
        rows: how many there are.
        licence: of the data.
        params: what is counted as the params.
        loss: its unit, and on what.
        paper: where the runs are described.
        remark: what to beware of.
        lacks: why it cannot be read as `Runs`, where it cannot.
        host: what a place is appended to for its URL.
    """

    about: str
    files: Mapping[str, str]
    read: Callable[[Sequence[Path]], list[Row]]
    rows: int
    licence: str
    params: str
    loss: str
    paper: str
    remark: str = ""
    lacks: str = ""
    host: str = HOST

    @property
    def source(self) -> str:
        """The repository and the commit."""
        owner, repository, commit, *_ = next(iter(self.files)).split("/")
        return f"github.com/{owner}/{repository} @ {commit}"

    @property
    def urls(self) -> dict[str, str]:
        """SHA-256 of each raw file by its URL."""
        return {f"{self.host}/{quote(place)}": sha256 for place, sha256 in self.files.items()}


def _files(*patterns: str) -> dict[str, str]:
    return {
        place: sha256
        for place, sha256 in _CHECKSUMS.items()
        if any(fnmatchcase(place, pattern) for pattern in patterns)
    }


_CHECKPOINTS = "rows of one group are checkpoints of one run, not independent; no cooldown"

PUBLIC: Mapping[str, Entry] = {
    "sardana2024": Entry(
        "decoders of 150M to 6B, 10 to 10,000 tokens per parameter",
        _files("nikhilsardana/*/trainingresults.csv"),
        readers.sardana,
        rows=47,
        licence="Apache-2.0",
        params="total, as the authors report it",
        loss="nats/token, train, smoothed",
        paper="Sardana et al. 2024, arXiv 2401.00448",
    ),
    "epoch2024_chinchilla": Entry(
        "the runs of Chinchilla, read off Figure 4",
        _files("epoch-research/*/svg_extracted_data.csv"),
        readers.epoch,
        rows=245,
        licence=_NOT_STATED,
        params="as drawn in the figure",
        loss="nats/token, train",
        paper="Besiroglu et al. 2024, arXiv 2404.10102",
        remark="tokens = train_flops / (6 params); the paper drops the five of highest loss",
    ),
    "gadre2024_c4": Entry(
        "open_lm on C4, 5 to 640 tokens per parameter",
        _files("mlfoundations/scaling/*/models/c4_original-*"),
        folders.gadre,
        rows=34,
        licence="MIT",
        params="total (params_no_embed too)",
        loss="nats/token, C4 validation",
        paper="Gadre et al. 2024, arXiv 2403.08540",
    ),
    "gadre2024_c4_full": Entry(
        "the same, with seven further sets and 46 accuracies",
        _files("mlfoundations/scaling/*/c4_original-*", "mlfoundations/*/evaluation_c4_*"),
        folders.gadre_full,
        rows=34,
        licence="MIT",
        params="total (params_no_embed too)",
        loss="nats/token, C4 validation",
        paper="Gadre et al. 2024, arXiv 2403.08540",
        remark="lo95 and hi95 are 95 % intervals over tokens",
    ),
    "gemstones_hot": Entry(
        "widths and depths below 1B params, 10 to 100 B tokens",
        _files("mcleish7/*/wandb_df_for_fitting_hot.jsonl"),
        readers.gemstones,
        rows=160,
        licence="MIT",
        params="total with embeddings",
        loss="nats/token, train",
        paper="McLeish et al. 2025, arXiv 2502.06857",
        remark=_CHECKPOINTS,
    ),
    "gemstones_lr_ablation_hot": Entry(
        "the same shapes at half the learning rate",
        _files("mcleish7/*/wandb_df_for_fitting_lr_ablation_hot.jsonl"),
        readers.gemstones,
        rows=140,
        licence="MIT",
        params="total with embeddings",
        loss="nats/token, train",
        paper="McLeish et al. 2025, arXiv 2502.06857",
        remark=_CHECKPOINTS,
    ),
    "clark2022_routed": Entry(
        "routed models of 15M to 370M active params, 1 to 512 experts, last steps",
        _files("google-deepmind/*/curves.csv.gz"),
        readers.clark,
        rows=195,
        licence="CC-BY-4.0",
        params="total (active_params: dense count)",
        loss="nats/token, validation",
        paper="Clark et al. 2022, arXiv 2202.01169",
        remark="tokens = steps x 256 x 2,048; the models of 1.3B are left out",
    ),
    "datablations_c4": Entry(
        "repeated data on C4, 7M to 3.9B, up to 9,000 epochs",
        _files("IBM/ColPret/*/datablations_contour_losses.csv"),
        readers.datablations,
        rows=204,
        licence="MIT; Apache-2.0 (huggingface/datablations)",
        params="as reported",
        loss="nats/token, C4",
        paper="Muennighoff et al. 2023, arXiv 2305.16264, by way of 2410.11840",
        remark="unique_tokens = tokens / epochs; column note: one row corrected, one suspected "
        "copy; many epochs overfit; models of 4B and more are left out",
    ),
    "olmo_ladder_finals": Entry(
        "190M to 1.3B at 0.5 to 10 times Chinchilla, with 20 tasks",
        _files(
            *(
                f"allenai/OLMo-ladder/*/{size}-*xC*.csv"
                for size in ("190M", "370M", "760M", "1B")
            )
        ),
        folders.olmo_ladder,
        rows=24,
        licence="Apache-2.0",
        params="total less the input embedding",
        loss="nats/token, C4",
        paper="Bhagia et al. 2024, arXiv 2412.04403",
        remark="rerun: repeated seeds; tokens = multiplier x 20 params; 3B is left out",
    ),
    "bian2025_shapes": Entry(
        "shapes of 78M to 313M, width / depth 17 to 384, at 20 and 160 tokens per parameter",
        _files("Waterpine/*/all_20N_partial_160N_data_fit/fit_scaling_laws_shape.py"),
        readers.bian,
        rows=35,
        licence="MIT",
        params="total",
        loss="nats/token",
        paper="Bian et al. 2025, arXiv 2501.18107",
        remark="read from the literals of the authors' code, which is not run",
    ),
    "haegele_schedules": Entry(
        "schedules and cooldowns of 33M to 166M models",
        _files("fabian-sp/lr-scheduling/*"),
        folders.haegele,
        rows=210,
        licence="MIT",
        params="total",
        loss="nats/token, final validation",
        paper="Hägele et al. 2024, arXiv 2405.18392, by way of 2501.18965",
        remark="diverged: a loss above 4.5; the models of 24 layers are left out",
    ),
    "mpl_curves_train": Entry(
        "loss curves of three schedules, the authors' fit set",
        _files("thu-yao-01-luo/MultiPowerLaw/*"),
        folders.multi_power,
        rows=1339,
        licence="MIT",
        params="labels: 25M, 100M, 400M",
        loss="nats/token, train, smoothed",
        paper="Luo et al. 2025, arXiv 2503.12811",
        lacks="it has labels of sizes and points of curves, no params and no tokens",
    ),
    "quest_precision": Entry(
        "quantised training of 30M to 200M, 1 to 16 bits",
        _files("IST-DASLab/QuEST/*"),
        readers.quest,
        rows=91,
        licence="MIT",
        params="non-embedding",
        loss="nats/token, C4 validation",
        paper="Panferov et al. 2025, arXiv 2502.05003",
        remark="group: the quantiser of the weights; models above 200M are left out",
    ),
    "obs_base_llms": Entry(
        "accuracies of public base models, 70M to 405B",
        _files("ryoungj/ObsScaling/*"),
        readers.observational,
        rows=148,
        licence="Apache-2.0",
        params="total",
        loss="none: accuracies acc_* of 8 benchmarks",
        paper="Ruan et al. 2024, arXiv 2405.10938",
        remark="25 models have no tokens; btlm-3b-8k's 627 T are the source's error for 627 B",
        lacks="it has accuracies, no loss",
    ),
    "parscale": Entry(
        "one to four parallel streams, 0.5 to 4.4 B, on two corpora",
        _files("QwenLM/ParScale/*"),
        readers.parscale,
        rows=36,
        licence=_NOT_STATED,
        params="non-embedding, with those of the streams (params_base: of one stream)",
        loss="nats/token",
        paper="Chen et al. 2025, arXiv 2505.10475",
        remark="read from the literals of the authors' code, which is not run",
        lacks="it has no tokens",
    ),
    "steplaw_dense": Entry(
        "grids of learning rate and batch, 215M to 537M",
        _files("step-law/steplaw/*/dense_lr_bs_loss.csv"),
        readers.steplaw_dense,
        rows=1746,
        licence=_NOT_STATED,
        params="non-embedding",
        loss="nats/token, train, smoothed (loss_raw: last)",
        paper="Li et al. 2025, arXiv 2503.04715",
        remark="batch in sequences of 2,048; models of 1B are left out",
    ),
    "steplaw_moe": Entry(
        "the same for sparse models of 2.15 B, active share .09 to .58",
        _files("step-law/steplaw/*/moe_lr_bs_loss.csv"),
        readers.steplaw_moe,
        rows=708,
        licence=_NOT_STATED,
        params="total (active_params too)",
        loss="nats/token, train, smoothed (loss_raw: last)",
        paper="Li et al. 2025, arXiv 2503.04715",
        remark="batch in sequences of 2,048",
    ),
    "vocab_tao2024": Entry(
        "vocabularies of 4k to 64k, 33M to 1.1B",
        _files("sail-sg/scaling-with-vocab/*"),
        readers.vocabularies,
        rows=1080,
        licence=_NOT_STATED,
        params="total: params_non_vocab + vocab x width (derived)",
        loss="nats/token, unigram-normalised: negative",
        paper="Tao et al. 2024, arXiv 2407.13623",
        remark="the vocabulary of 96k is left out",
        lacks="its data are characters, not tokens, and its losses are negative",
    ),
}
