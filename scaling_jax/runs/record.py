"""The record of training runs: columns, subsets, a file."""

import csv
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax._pytree import Record
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN

# A run is a whole number of batches, so that its ratio of 100 may be 100.02.
WIDENED = 1e-3


class Runs(Record):
    """Finished training runs, as NumPy columns of equal length.

    Example:
        >>> from scaling_jax.runs import read_runs
        >>> runs = read_runs({"params": [1e8, 1e9], "tokens": [2e9, 2e10], "loss": [3.6, 2.9]})
        >>> len(runs), runs.tokens_per_param.tolist()
        (2, [20.0, 20.0])
    """

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    weight: np.ndarray | None = None
    sigma: np.ndarray | None = None
    group: np.ndarray | None = None

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self.loss)

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D / N of each run."""
        return self.tokens / self.params

    @property
    def train_flops(self) -> np.ndarray:
        """6 N D of each run."""
        return TRAIN_FLOPS_PER_PARAM_TOKEN * self.params * self.tokens

    def where(self, keep: Any) -> "Runs":
        """Return the runs that a mask or an index array keeps, in its order."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return Runs(**{name: column[keep] for name, column in columns.items()})

    def within(
        self,
        *,
        min_params: float = 0.0,
        max_params: float = math.inf,
        min_tokens: float = 0.0,
        max_tokens: float = math.inf,
        min_tokens_per_param: float = 0.0,
        max_tokens_per_param: float = math.inf,
        min_train_flops: float = 0.0,
        max_train_flops: float = math.inf,
    ) -> np.ndarray:
        """Return which runs are within limits, bounds included.

        A bound is widened by a thousandth: a run takes whole batches, and one of 100.02
        tokens per parameter still counts as 100.
        """
        limits = {
            "params": (min_params, max_params),
            "tokens": (min_tokens, max_tokens),
            "tokens_per_param": (min_tokens_per_param, max_tokens_per_param),
            "train_flops": (min_train_flops, max_train_flops),
        }
        keep = np.ones(len(self), bool)
        for name, (low, high) in limits.items():
            column = getattr(self, name)
            keep &= (column >= low * (1 - WIDENED)) & (column <= high * (1 + WIDENED))
        return keep

    def select(self, **limits: float) -> "Runs":
        """Return the runs within limits, named as `within` names them.

        Example:
            >>> from scaling_jax.runs import read_runs
            >>> table = {"params": [1e8, 1e8], "tokens": [2e9, 1e11], "loss": [3.6, 3.1]}
            >>> len(read_runs(table).select(max_tokens_per_param=100))
            1
        """
        return self.where(self.within(**limits))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the runs as CSV, in full precision, as `read_runs` reads it."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(
                zip(*(column.tolist() for column in columns.values()), strict=True)
            )
