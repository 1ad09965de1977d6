"""From small raw files of the publications that have one per run, to the rows of a table."""

from typing import Any

import numpy as np

from tests.test_registry_readers import made


def test_olmo_ladder_takes_the_last_evaluation(tmp_path):
    text = (
        "_step,eval/c4_en-validation/CrossEntropyLoss,"
        "eval/dolma_common-crawl-validation/CrossEntropyLoss,"
        "eval/downstream_bpb/piqa_val_rc_5shot_bpb,"
        "eval/downstream/piqa_val_rc_5shot_len_norm,"
        "eval/downstream_soft/piqa_val_rc_5shot_soft,learning_rate_peak\n"
        "100,6.9,7.1,1.4,0.5,0.4,0.0007\n200,3.4,3.6,1.1,0.6,0.4,0.0007\n"
    )
    files = {"370M-1xC-rerun.csv": text, "190M-0.5xC.csv": text, "370M-1xC.csv": text}
    rows = made("olmo_ladder_finals", tmp_path, files)
    assert [row["group"] for row in rows] == ["190M", "370M", "370M"]
    assert [row["rerun"] for row in rows] == ["False", "False", "True"]
    assert rows[0]["tokens"] == 0.5 * 20 * 190_354_176
    assert rows[0]["train_flops"] == 3 * 1_903_391_232 * rows[0]["tokens"]
    assert list(rows[0].items())[12:] == [
        ("loss_dolma_common_crawl", 3.6),
        ("bpb_piqa_val_rc_5shot", 1.1),
        ("acc_piqa_val_rc_5shot_len_norm", 0.6),
    ]
    assert (rows[0]["loss"], rows[0]["step"], rows[0]["lr"]) == (3.4, 200, 0.0007)


def gadre_files() -> dict[str, Any]:
    files = {}
    for name, params in (("d=96_l=8_h=4", 200), ("open_lm_1b", 100)):
        results = [
            {
                "loss": loss,
                "loss_tokens_lower_95": loss - 0.1,
                "loss_tokens_upper_95": loss + 0.1,
                "val_data": [f"training/val_tok_mult/{place}/shard.tar"],
            }
            for place, loss in (("openlm", 4.0), ("c4_val", 3.0), ("de-en", 5.0))
        ]
        settings = {
            "model": f"scaling/open_lm_configs/{name}.json",
            "tokens": 20 * params,
            "warmup": 100,
            "lr": 0.003,
            "global_bs": 64,
            "params": params,
            "params_no_embed": params - 9,
            "chinchilla_multiplier": 1.0,
        }
        run = {"name": f"c4-{name}", "dataset_name": "c4_original"}
        files[f"models/c4-{name}.json"] = run | {
            "hyperparameters": settings,
            "results": results,
        }
        scores = {"eval_metrics": {"icl": {"arc_easy": 0.25 + params}}}
        files[f"evals/evaluation_c4-{name}_heavy.json"] = scores
    return files


def test_gadre_reads_a_file_per_run(tmp_path):
    files = {place: file for place, file in gadre_files().items() if "models" in place}
    first, second = made("gadre2024_c4", tmp_path, files)
    assert list(first.values()) == ["c4-open_lm_1b", 100, 91, 2000, 1.0, 3.0]
    assert second["name"] == "c4-d=96_l=8_h=4"


def test_gadre_joins_models_and_evaluations(tmp_path):
    first, second = made("gadre2024_c4_full", tmp_path, gadre_files())
    assert (first["loss"], first["acc_arc_easy"], first["batch"]) == (3.0, 100.25, 64)
    assert np.isnan(first["width"])
    assert (second["width"], second["depth"]) == (96, 8)
    assert (second["lo95_de-en"], second["hi95_openlm"]) == (4.9, 4.1)


def haegele_file(schedule: str, lr: float, loss: float, **further: Any) -> dict[str, Any]:
    settings = {
        "lr": lr,
        "scheduler": schedule,
        "batch_size": 50,
        "acc_steps": 2,
        "world_size": 2,
        "sequence_length": 512,
        "iterations": 1000,
        "warmup_steps": 300,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "weight_decay": 0.1,
        "vocab_size": 50304,
        "seed": 0,
        "dataset": "slimpajama",
    }
    summary = {"parameters": 1e8, "final-val/loss": loss, "val/loss": 3.0, "train/loss": 2.9}
    return {"summary": summary, "config": settings | further}


def test_haegele_reads_schedule_and_cooldown(tmp_path):
    files = {
        "cos-zero-124m_a_sched_cos_decay_sqrt_0.0_i.json": haegele_file("cos", 0.005, 7.6),
        "ann0.2_a_sched_wsd_iter1000.json": haegele_file("wsd", 0.001, 3.1),
        "ann124-0.1_a_sched_wsd_decay_sqrt_0.1_i.json": haegele_file(
            "wsd", 0.002, 3.2, decay_type="sqrt"
        ),
        "sl_a_sched_wsd_iter1000.json": haegele_file("wsd", 0.003, 3.3),
    }
    rows = made("haegele_schedules", tmp_path, files)
    assert [row["lr"] for row in rows] == [0.001, 0.002, 0.003, 0.005]
    cooldowns = [row["cooldown_fraction"] for row in rows]
    np.testing.assert_array_equal(cooldowns, [0.2, 0.1, 0.0, np.nan])
    assert [row["decay_type"] for row in rows] == ["", "sqrt", "", ""]
    assert [row["diverged"] for row in rows] == ["False", "False", "False", "True"]
    assert (rows[0]["batch"], rows[0]["tokens"]) == (200, 200 * 512 * 1000)


def test_multi_power_names_size_and_schedule(tmp_path):
    files = {"csv_25/cosine_24000.csv": "step,lr,loss\n2160,0.0003,3.77\n2288,0.0002,3.73\n"}
    rows = made("mpl_curves_train", tmp_path, files)
    assert list(rows[1].values()) == ["25M", "cosine_24000", 2288, 0.0002, 3.73]
