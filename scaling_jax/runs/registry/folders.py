"""Readers of publications that have one file per run."""

import re
from pathlib import Path
from typing import Any

from scaling_jax.runs.registry.parsing import Row, csv_rows, read_json
from scaling_jax.runs.registry.readers import Paths

# Params, FLOPs of a token's forward pass, width, depth: OLMo-ladder @67a3f44,
# src/ladder/ladder.py.
_LADDER = {
    "190M": (190_354_176, 1_903_391_232, 768, 12),
    "370M": (371_262_464, 3_443_922_944, 1024, 16),
    "760M": (758_220_288, 6_373_843_968, 1536, 16),
    "1B": (1_279_395_840, 10_109_071_360, 2048, 16),
}


def olmo_ladder(paths: Paths) -> list[Row]:
    """The last evaluation of every run of up to 1B; tokens are derived, multiplier x 20 N."""
    rows = []
    for path in paths:
        size, times, *rerun = path.stem.split("-")
        params, flops, width, depth = _LADDER[size]
        multiplier = float(times.removesuffix("xC"))
        last = csv_rows(path)[-1]
        tokens = multiplier * 20 * params
        rows.append(
            {
                "params": params,
                "tokens": tokens,
                "loss": last["eval/c4_en-validation/CrossEntropyLoss"],
                "width": width,
                "depth": depth,
                "chinchilla_multiplier": multiplier,
                "flops_per_token_fwd": flops,
                "train_flops": 3 * flops * tokens,
                "lr": last["learning_rate_peak"],
                "step": last["_step"],
                "group": size,
                "rerun": bool(rerun),
                **_evaluations(last),
            }
        )
    return sorted(
        rows, key=lambda row: (row["params"], row["chinchilla_multiplier"], row["rerun"])
    )


def _evaluations(last: Row) -> Row:
    """Return the further losses, bits per byte and accuracies of an evaluation."""
    found = {}
    for name, value in last.items():
        kind, _, rest = name.removeprefix("eval/").partition("/")
        corpus = kind.removesuffix("-validation").replace("-", "_")
        if rest == "CrossEntropyLoss" and corpus != "c4_en":
            found[f"loss_{corpus}"] = value
        elif kind == "downstream_bpb":
            found[f"bpb_{rest.removesuffix('_bpb')}"] = value
        elif kind == "downstream":
            found[f"acc_{rest}"] = value
    return found


def gadre(paths: Paths) -> list[Row]:
    """The models trained on C4; the loss is that on C4's validation set."""
    names = ("params", "params_no_embed", "tokens", "chinchilla_multiplier")
    rows = []
    for run in _gadre_runs(paths):
        losses = {_gadre_set(result): result["loss"] for result in run["results"]}
        settings = {name: run["hyperparameters"][name] for name in names}
        rows.append({"name": run["name"], **settings, "loss": losses["c4_val"]})
    return rows


def gadre_full(paths: Paths) -> list[Row]:
    """The same, with the other sets, intervals over tokens, and accuracies."""
    scores = {path.name: path for path in paths if path.name.startswith("evaluation_")}
    rows = []
    for run in _gadre_runs(paths):
        given = run["hyperparameters"]
        config = Path(given["model"]).name
        shape = re.fullmatch(r"d=(\d+)_l=(\d+)_h=\d+\.json", config)
        losses: Row = {}
        for result in run["results"]:
            place = _gadre_set(result)
            losses[f"loss_{place}"] = result["loss"]
            losses[f"lo95_{place}"] = result["loss_tokens_lower_95"]
            losses[f"hi95_{place}"] = result["loss_tokens_upper_95"]
        accuracies = read_json(scores[f"evaluation_{run['name']}_heavy.json"])
        rows.append(
            {
                "loss": losses["loss_c4_val"],
                "name": run["name"],
                "group": run["dataset_name"],
                **{name: given[name] for name in ("params", "params_no_embed", "tokens", "lr")},
                "batch": given["global_bs"],
                **{name: given[name] for name in ("warmup", "chinchilla_multiplier")},
                "width": shape and int(shape[1]),
                "depth": shape and int(shape[2]),
                "config": config,
                **losses,
                **{
                    f"acc_{name}": score
                    for name, score in accuracies["eval_metrics"]["icl"].items()
                },
            }
        )
    return rows


def _gadre_runs(paths: Paths) -> list[dict[str, Any]]:
    runs = [read_json(path) for path in paths if not path.name.startswith("evaluation_")]
    given = "hyperparameters"
    return sorted(runs, key=lambda run: (run[given]["params"], run[given]["tokens"]))


def _gadre_set(result: dict[str, Any]) -> str:
    """Return the name of a validation set, as the authors' code makes it."""
    folder, file = Path(result["val_data"][0]).parts[-2:]
    return "de-en" if "de-en" in folder else folder if folder else file


def haegele(paths: Paths) -> list[Row]:
    """Every model of up to 16 layers; tokens and batch are derived from the settings."""
    rows = []
    for path in paths:
        run = read_json(path)
        given, summary = run["config"], run["summary"]
        batch = given["batch_size"] * given["acc_steps"] * given["world_size"]
        loss = summary["final-val/loss"]
        rows.append(
            {
                "params": summary["parameters"],
                "tokens": batch * given["sequence_length"] * given["iterations"],
                "loss": loss,
                "val_loss": summary["val/loss"],
                "train_loss": summary["train/loss"],
                "lr": given["lr"],
                "batch": batch,
                "seq": given["sequence_length"],
                "steps": given["iterations"],
                "schedule": given["scheduler"],
                "cooldown_fraction": _cooldown(path.name, given["scheduler"]),
                "decay_type": given.get("decay_type", ""),
                "warmup": given["warmup_steps"],
                "width": given["n_embd"],
                "depth": given["n_layer"],
                "heads": given["n_head"],
                "weight_decay": given["weight_decay"],
                "vocab": given["vocab_size"],
                "seed": given["seed"],
                "group": given["dataset"],
                "diverged": loss > 4.5,
                "file": path.name,
            }
        )
    return sorted(rows, key=lambda row: (row["params"], row["tokens"], row["lr"]))


def _cooldown(name: str, schedule: str) -> float | None:
    """Return the share of the steps that cools down, by the file's name; a cosine has none."""
    if schedule == "cos":
        return None
    found = re.search(r"_decay_[a-z]+_([\d.]+)_", name) or re.match(r"ann([\d.]+)_", name)
    return float(found[1]) if found else 0.0


def multi_power(paths: Paths) -> list[Row]:
    """The curves that the authors fit to."""
    return [
        {
            "size_label": f"{path.parent.name.removeprefix('csv_')}M",
            "schedule": path.stem,
            **row,
        }
        for path in paths
        for row in csv_rows(path)
    ]
