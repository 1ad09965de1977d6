"""From the raw files of a publication to the rows of its table, one function for each.

A reader takes the local paths of the files, in the order of `checksums.txt`. Values are as in
the source; what is derived says so. Where a table is a part of its source, the reader says
which.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from scaling_jax.runs.registry.parsing import (
    Row,
    csv_rows,
    json_rows,
    literals,
    read_json,
    renamed,
)

Paths = Sequence[Path]
_LARGE = 1e9  # several tables leave out the models from a billion params on


def sardana(paths: Paths) -> list[Row]:
    """Every run, under the authors' names of the columns."""
    return csv_rows(paths[0])


def epoch(paths: Paths) -> list[Row]:
    """Every point of the figure; tokens are derived, train_flops / (6 params)."""
    rows = []
    for row in csv_rows(paths[0]):
        params, flops = float(row["Model Size"]), float(row["Training FLOP"])
        tokens = flops / 6 / params
        rows.append(
            {"params": params, "tokens": tokens, "loss": row["loss"], "train_flops": flops}
        )
    return rows


def gemstones(paths: Paths) -> list[Row]:
    """The checkpoints of the models below a billion params."""
    names = {
        "params": "params_active_precise",
        "tokens": "tokens",
        "loss": "final_loss",
        **{name: name for name in ("width", "depth", "step", "seconds_per_step", "num_nodes")},
        "group": "run_name",
    }
    rows = [renamed(row, names) for row in json_rows(paths[0])]
    return [row for row in rows if row["params"] < _LARGE]


def clark(paths: Paths) -> list[Row]:
    """The last step of every run but those of 1.3B; tokens and train_flops are derived.

    A step is 256 sequences of 2,048 tokens; flops_per_step counts a forward pass, and
    training is three.
    """
    names = {
        "n_experts": "num_experts",
        **{name: name for name in ("k", "routing_frequency", "flop_increase")},
        "width": "d_model",
        "depth": "num_blocks",
        "group": "router_type",
        **{name: name for name in ("seed", "step", "flops_per_step")},
    }
    others = ["c4", "curation_corpus", "lambada", "pile", "wikitext103"]
    last = {row["hyper_id"]: row for row in csv_rows(paths[0])}
    return [
        {
            "params": row["total_parameter_count"],
            "active_params": row["dense_parameter_count"],
            "tokens": int(row["step"]) * 256 * 2048,
            "loss": row["loss_validation"],
            **renamed(row, names),
            "train_flops": 3 * float(row["flops_per_step"]) * int(row["step"]),
            "model_size_label": row["model_size_label"],
            **{f"loss_{name}": row[f"loss_{name}"] for name in others},
            "hyper_id": row["hyper_id"],
        }
        for row in last.values()
        if row["model_size_label"] != "1.3B"
    ]


def datablations(paths: Paths) -> list[Row]:
    """The models below four billion params; unique_tokens is derived, tokens / epochs.

    One run's tokens and epochs are corrected from its name: the source read 55b1b25 as 55b1
    on 25b, and it is 55b on 1b25.
    """
    rows = []
    for row in csv_rows(paths[0]):
        params, tokens, epochs = (
            float(row[name]) for name in ("num_params", "token_num", "epochs")
        )
        name = _quoted(row["model_args"])
        unique, flops, note = tokens / epochs, float(row["flops"]), ""
        if params >= 4e9:
            continue
        if name == "2b855b1b25":
            tokens, unique, epochs, flops = 55e9, 1.25e9, 44.0, 6 * params * 55e9
            note = (
                "tokens/unique/epochs corrected from the run name "
                "(source parsed 55b1b25 as 55b1 / 25b)"
            )
        if name == "83m60b100m":
            note = "loss identical to 83m32b100m in the source: suspected copy"
        rows.append(
            {
                "params": params,
                "tokens": tokens,
                "loss": row["openLM_loss"],
                "unique_tokens": unique,
                "epochs": epochs,
                "train_flops": flops,
                "group": row["data"],
                "name": name,
                "note": note,
            }
        )
    return rows


def _quoted(text: str) -> str:
    """Return the last word in single quotes: the raw cell is a dict of Python's."""
    return re.findall(r"'([^']*)'", text)[-1]


def bian(paths: Paths) -> list[Row]:
    """The models that the authors fit to, at 20 and at 160 tokens per parameter."""
    found = literals(paths[0])
    rows = [
        {
            "params": found["parameters_fit_dict"][name],
            "tokens": found[f"tokens_fit_{ratio}N_dict"][name.split("_")[0]],
            "loss": loss,
            "width": found["dim_dict"][name],
            "depth": found["height_dict"][name],
            "tokens_per_param": ratio,
            "group": "fit",
            "name": name,
        }
        for ratio in (20, 160)
        for name, loss in found[f"loss_fit_{ratio}N_dict"].items()
    ]
    return sorted(rows, key=lambda row: (row["params"], row["tokens"]))


def parscale(paths: Paths) -> list[Row]:
    """One, two and four parallel streams, on two corpora."""
    found = literals(paths[0])
    sizes = found["params"]
    return [
        {
            "params": params,
            "loss": loss,
            "parallel_streams": 2**power,
            "params_base": base,
            "group": group,
        }
        for group, name in (("stack_v2_python", "stack_loss"), ("pile", "pile_loss"))
        for power in range(3)
        for params, loss, base in zip(sizes[power], found[name][power], sizes[0], strict=True)
    ]


def quest(paths: Paths) -> list[Row]:
    """The models of up to 200M; precision_bits is the bits of the weights."""
    rows = [row for row in read_json(paths[0]) if row["model_size"] <= 200]
    rows.sort(key=lambda row: [row["non_embedding_parameters"], row["tokens"], row["w_bits"]])
    return [
        {
            "params": row["non_embedding_parameters"],
            "tokens": row["tokens"],
            "loss": row["loss"],
            "precision_bits": row["w_bits"],
            "w_bits": row["w_bits"],
            "a_bits": row["a_bits"],
            **renamed(
                row["args"],
                {"width": "n_embd", "depth": "n_layer", "vocab": "vocab_size", "lr": "lr"},
            ),
            "batch": _batch(row["args"]),
            **renamed(row["args"], {"steps": "iterations", "seed": "seed"}),
            "group": row["w_quant"],
            **{name: row[name] for name in ("a_quant", "trust", "p", "clip_scale")},
            "model_size": row["model_size"],
            "dataset": row["args"]["dataset"],
            "bops": row["bops"],
        }
        for row in rows
    ]


def _batch(settings: Row) -> int:
    """Return the sequences of a step."""
    return math.prod(settings[name] for name in ("batch_size", "acc_steps", "world_size"))


def observational(paths: Paths) -> list[Row]:
    """Every model; sizes, tokens and FLOPs in units of one."""
    scores = ["MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd"]
    scores.append("HumanEval")
    rows = []
    for row in csv_rows(paths[0]):
        sizes = {
            "params": _times(row["Model Size (B)"], 1e9),
            "tokens": _times(row["Pretraining Data Size (T)"], 1e12),
            "train_flops": _times(row["FLOPs (1E21)"], 1e21),
        }
        accuracies = {f"acc_{name.lower().replace('-', '_')}": row[name] for name in scores}
        names = {"name": row["Model"], "group": row["Model Family"]}
        rows.append({**names, **sizes, **accuracies})
    return rows


def _times(cell: str, unit: float) -> float | None:
    return float(cell) * unit if cell.strip() else None


def steplaw_dense(paths: Paths) -> list[Row]:
    """The models below a billion params; the loss is the smoothed one."""
    names = {
        "params": "N",
        "tokens": "D",
        "loss": "smooth loss",
        "loss_raw": "loss",
        "lr": "lr",
        "batch": "bs",
        "steps": "ti",
        "width": "h",
        "depth": "numl",
        "heads": "numh",
        "ffn": "ffnh",
        "tokens_per_param": "D/N",
    }
    return [
        {**renamed(row, names), "group": "dense", "exp_name": row["exp_name"]}
        for row in csv_rows(paths[0])
        if float(row["N"]) < _LARGE
    ]


def steplaw_moe(paths: Paths) -> list[Row]:
    """Every run; the loss is the smoothed one."""
    names = {
        "params": "N",
        "active_params": "Na",
        "tokens": "D",
        "loss": "smooth loss",
        "loss_raw": "loss",
        "lr": "lr",
        "batch": "bs",
        "steps": "ti",
        "n_experts": "nume",
        "k": "topk",
        "expert_ffn": "moeh",
        "width": "h",
        "depth": "numl",
        "heads": "numh",
        "active_share": "Na/N",
        "group": "moe_name",
        "exp_name": "exp_name",
    }
    return [renamed(row, names) for row in csv_rows(paths[0])]


def vocabularies(paths: Paths) -> list[Row]:
    """The vocabularies of up to 64k; params is derived, the others plus vocab x width."""
    rows = []
    for row in csv_rows(paths[0]):
        others, vocab, width = (
            float(row[name]) for name in ("Non_vocab_parameters", "vocab_size", "embed_dim")
        )
        if vocab > 65536:
            continue
        rows.append(
            {
                "params": others + vocab * width,
                "characters": row["num_characters"],
                "loss": row["Lossu"],
                "params_non_vocab": others,
                "vocab": vocab,
                "width": width,
                "train_flops": row["FLOPs"],
                "group": f"{others / 1e6:.0f}M",
            }
        )
    return rows
