"""Training runs: a table of them read, checked, selected and written, and one that we made.

`CPU47` are the 47 runs of `scaling-jax sweep cpu47`: six byte-level transformers of 4,620 to
188,992 parameters on the Python sources of one machine, 10 to 10,000 tokens per parameter, one
epoch each, November 2026, two CPU cores; their structure is that of Sardana et al. (arXiv
2401.00448, Table 4). `cpu47.csv` beside this file has every column: shape, batch, schedule,
seed, corpus fingerprint, FLOPs by both counts, seconds. Losses are on held-out documents, in
nats per byte. `CPU47_CHECK` is one more run, of a model planned from the law fitted to them.

Runs that others published are fetched by name: `load("sardana2024")`, `PUBLIC` lists them.
"""

from pathlib import Path

from scaling_jax.runs.reading import read_runs as read_runs
from scaling_jax.runs.record import Runs as Runs
from scaling_jax.runs.registry import PUBLIC as PUBLIC
from scaling_jax.runs.registry import load as load
from scaling_jax.runs.registry import table as table
from scaling_jax.runs.registry import write_table as write_table

CPU47 = read_runs(Path(__file__).with_name("cpu47.csv"))
CPU47_CHECK = read_runs(Path(__file__).with_name("cpu47_check.csv"))
