"""From small raw files, of the format of each publication, to the rows of its table."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling_jax import runs
from scaling_jax.runs.registry.parsing import columns, csv_rows, literals, write_table


def made(name: str, folder: Path, files: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the table that a reader makes of raw files: text, or what JSON or gzip holds."""
    paths = []
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(
            gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode()
        )
        paths.append(path)
    table = columns(runs.PUBLIC[name].read(paths))
    return [
        dict(zip(table, row, strict=True))
        for row in zip(*(column.tolist() for column in table.values()), strict=True)
    ]


def test_epoch_derives_the_tokens(tmp_path):
    text = "x,y,color,Model Size,Training FLOP,hex_color,loss\n1,2,#f,1e9,1.2e20,#f,2.5\n"
    rows = made("epoch2024_chinchilla", tmp_path, {"a.csv": text})
    assert rows == [{"params": 1e9, "tokens": 2e10, "loss": 2.5, "train_flops": 1.2e20}]


def test_gemstones_leave_out_a_billion(tmp_path):
    row = {
        "run_name": "a",
        "params_active_precise": 543,
        "width": 8,
        "depth": 2,
        "tokens": 10,
        "step": 3,
        "num_nodes": 32,
        "seconds_per_step": 1.5,
        "final_loss": 3.1,
    }
    lines = [row, row | {"params_active_precise": 10**9}]
    text = "\n".join(json.dumps(line) for line in lines)
    (only,) = made("gemstones_hot", tmp_path, {"a.jsonl": text})
    assert list(only) == (
        "params tokens loss width depth step seconds_per_step num_nodes group".split()
    )
    assert list(only.values()) == [543, 10, 3.1, 8, 2, 3, 1.5, 32, "a"]


def test_clark_takes_the_last_step_of_a_run(tmp_path):
    header = (
        "hyper_id,step,loss_c4,loss_curation_corpus,loss_lambada,loss_pile,loss_validation,"
        "loss_wikitext103,num_experts,d_model,num_blocks,num_heads,kqv_size,flop_increase,k,"
        "router_type,seed,routing_frequency,total_parameter_count,dense_parameter_count,"
        "flops_per_step,model_size_label\n"
    )
    run = "{},{},1,2,3,4,{},6,64,512,8,8,64,1.0,1,Hash,42,0.5,5e8,2e7,7e13,{}\n"
    lines = [(0, 0, 9.5, "25M"), (0, 100, 2.5, "25M"), (1, 100, 2.2, "1.3B")]
    text = header + "".join(run.format(*line) for line in lines)
    (only,) = made("clark2022_routed", tmp_path, {"curves.csv.gz": text})
    assert (only["params"], only["active_params"], only["loss"]) == (5e8, 2e7, 2.5)
    assert only["tokens"] == 100 * 256 * 2048
    assert only["train_flops"] == 3 * 7e13 * 100
    assert (only["group"], only["n_experts"], only["loss_pile"]) == ("Hash", 64, 4)


def test_datablations_corrects_what_the_source_misread(tmp_path):
    text = (
        "index,data,epochs,token_num,openLM_loss,num_params,model_args,tokens_per_epoch,flops,"
        "checkpoint\n"
        "0,c4,4.0,8e9,3.2,2.8e9,{'name': '2b88b2b'},1.5e9,1e20,gone\n"
        "7,c4,2.204,5.51e10,3.4,2.8e9,{'name': '2b855b1b25'},1.5e9,9.2e20,gone\n"
        "8,c4,1.0,8e9,3.0,4.2e9,{'name': '4b28b8b'},1.5e9,1e20,gone\n"
    )
    first, second = made("datablations_c4", tmp_path, {"a.csv": text})
    assert (first["name"], first["unique_tokens"], first["note"]) == ("2b88b2b", 2e9, "")
    assert (second["tokens"], second["unique_tokens"], second["epochs"]) == (55e9, 1.25e9, 44)
    assert second["train_flops"] == 6 * 2.8e9 * 55e9
    assert second["note"].startswith("tokens/unique/epochs corrected")


def test_bian_is_read_from_literals(tmp_path):
    text = """
import numpy as np
raise SystemExit("this file must not be run")
parameters_fit_dict = {"80M_v1": 78, "80M_v2": 77}
loss_fit_20N_dict = {"80M_v1": 4.9, "80M_v2": 5.0}
loss_fit_160N_dict = {"80M_v1": 3.7}
height_dict = {"80M_v1": 8, "80M_v2": 5}
dim_dict = {"80M_v1": 512, "80M_v2": 576}
tokens_fit_20N_dict = {"80M": 1600}
tokens_fit_160N_dict = {"80M": 12800}
N_data = np.array(parameters_fit_dict.values())
"""
    rows = made("bian2025_shapes", tmp_path, {"a.py": text})
    assert [list(row.values()) for row in rows] == [
        [77, 1600, 5.0, 576, 5, 20, "fit", "80M_v2"],
        [78, 1600, 4.9, 512, 8, 20, "fit", "80M_v1"],
        [78, 12800, 3.7, 512, 8, 160, "fit", "80M_v1"],
    ]


def test_parscale_is_read_from_literals(tmp_path):
    text = """
if __name__ == "__main__":
    params = [[10, 20], [11, 21], [12, 22], [14, 24]]
    stack_loss = [[1.4, 1.3], [1.2, 1.1], [1.0, 0.9], [0.8, 0.7]]  # P1, P2, P4, P8
    pile_loss = [[2.4, 2.3], [2.2, 2.1], [2.0, 1.9], [1.8, 1.7]]
    p = [[1] * 2, [2] * 2]
    raise SystemExit("this file must not be run")
"""
    rows = made("parscale", tmp_path, {"a.py": text})
    assert len(rows) == 12
    assert list(rows[4].values()) == [12, 1.0, 4, 10, "stack_v2_python"]
    assert list(rows[-1].values()) == [22, 1.9, 4, 20, "pile"]


def test_literals_take_no_expression(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "a = [1, 2]\nb = open('/etc/passwd')\nc = __import__('os').name\nd = -1.5\n"
    )
    assert literals(path) == {"a": [1, 2], "d": -1.5}


def test_quest_reads_the_settings(tmp_path):
    settings = {
        "n_embd": 640,
        "n_layer": 6,
        "vocab_size": 50304,
        "lr": 0.0012,
        "batch_size": 64,
        "acc_steps": 1,
        "world_size": 8,
        "iterations": 2861,
        "seed": 0,
        "dataset": "c4",
    }
    run = {
        "model_size": 30,
        "non_embedding_parameters": 30482560,
        "w_bits": 4,
        "a_bits": 16,
        "loss": 3.4,
        "tokens": 750,
        "bops": 9,
        "w_quant": "Trust",
        "a_quant": "No",
        "trust": None,
        "p": None,
        "clip_scale": 1.25,
        "args": settings,
    }
    found = [run, run | {"w_bits": 2}, run | {"model_size": 430}]
    rows = made("quest_precision", tmp_path, {"a.json": found})
    assert [row["precision_bits"] for row in rows] == [2, 4]
    assert (rows[0]["batch"], rows[0]["group"], rows[0]["trust"]) == (512, "Trust", "")
    table = {name: [row[name] for row in rows] for name in rows[0]}
    assert runs.read_runs(table)["model_size"].tolist() == [30, 30]


def test_observational_scales_units_and_keeps_what_is_missing(tmp_path):
    text = (
        "Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21),MMLU,ARC-C,"
        "HellaSwag,Winograd,TruthfulQA,GSM8K,XWinograd,HumanEval\n"
        "a/b,A,7.0,2.0,84.0,.1,.2,.3,.4,.5,.6,.7,.8\nc/d,C,13.0,,,.1,.2,.3,.4,.5,.6,.7,\n"
    )
    first, second = made("obs_base_llms", tmp_path, {"a.csv": text})
    assert (first["params"], first["tokens"], first["train_flops"]) == (7e9, 2e12, 8.4e22)
    assert (first["acc_arc_c"], first["acc_humaneval"]) == (0.2, 0.8)
    assert np.isnan(second["tokens"])
    assert np.isnan(second["acc_humaneval"])


def test_steplaw_prefers_the_smoothed_loss(tmp_path):
    header = "h,ffnh,numh,numl,lr,bs,ti,loss,smooth loss,exp_name,D,N,D/N\n"
    text = header + "960,9368,15,7,1e-3,736,66,2.5,2.4,a,100,20,5.0\n"
    text += "960,9368,15,7,1e-3,736,66,2.5,2.4,large,100,1073741824,5.0\n"
    (only,) = made("steplaw_dense", tmp_path, {"a.csv": text})
    assert list(only.values()) == (
        [20, 100, 2.4, 2.5, 0.001, 736, 66, 960, 7, 15, 9368, 5.0, "dense", "a"]
    )
    header = (
        "topk,nume,moeh,h,numh,numl,lr,bs,ti,loss,smooth loss,exp_name,N,Na,D,Na/N,moe_name"
    )
    text = header + "\n2,88,352,1408,11,16,1e-3,32,30,2.5,2.4,a,100,10,50,0.1,2in88\n"
    (only,) = made("steplaw_moe", tmp_path, {"b.csv": text})
    assert (only["params"], only["active_params"], only["n_experts"]) == (100, 10, 88)
    assert (only["loss"], only["loss_raw"], only["group"]) == (2.4, 2.5, "2in88")


def test_vocabularies_count_their_embedding(tmp_path):
    header = "vocab_size,embed_dim,num_characters,Non_vocab_parameters,FLOPs,Lossu\n"
    text = (
        header + "4096.0,512.0,1.8e8,33222784.0,1e16,-1.3\n96256.0,512.0,1e8,33222784.0,1,-2\n"
    )
    (only,) = made("vocab_tao2024", tmp_path, {"a.csv": text})
    assert (only["params"], only["group"], only["loss"]) == (35319936, "33M", -1.3)


def test_columns_tell_numbers_from_words_and_are_written_exactly(tmp_path):
    rows = [{"a": "1", "b": "0.1", "c": "x", "d": None}, {"a": 2, "b": "", "c": None, "d": ""}]
    table = columns(rows)
    assert [column.dtype.kind for column in table.values()] == ["i", "f", "U", "U"]
    path = tmp_path / "a.csv"
    write_table(table, path)
    assert path.read_text() == "a,b,c,d\n1,0.1,x,\n2,,,\n"
    again = columns(csv_rows(path))
    assert again["a"].tolist() == [1, 2]
    assert again["b"][0] == pytest.approx(0.1, abs=0)
