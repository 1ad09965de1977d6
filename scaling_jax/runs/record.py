"""The record of training runs: columns, subsets, a file."""

import csv
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax._files import write_whole
from scaling_jax.laws import TRAIN_FLOPS_PER_PARAM_TOKEN

# A run is a whole number of batches, so that its ratio of 100 may be 100.02.
WIDENED = 1e-3
# What is worked out where a table does not have it.
_COMPUTED = ("tokens_per_param", "train_flops")


class Runs:
    """Finished training runs, as NumPy columns of equal length.

    `params`, `tokens` and `loss`, optionally `weight`, `sigma` and `group`, and any further
    columns: numbers, NaN where a value is missing, or text, then empty. A further column is
    found by its name, whatever its case, with spaces and dashes for underscores; laws and
    selections ask for it so. Treat the arrays as constants.

    Example:
        >>> runs = Runs(
        ...     params=[1e8, 1e9], tokens=[2e9, 2e10], loss=[3.6, 2.9], epochs=[1, 4],
        ... )
        >>> len(runs), runs.tokens_per_param.tolist(), runs["epochs"].tolist()
        (2, [20.0, 20.0], [1.0, 4.0])
        >>> runs.select(max_epochs=3).loss
        array([3.6])
    """

    def __init__(
        self,
        *,
        params: Any,
        tokens: Any,
        loss: Any,
        weight: Any = None,
        sigma: Any = None,
        group: Any = None,
        **further: Any,
    ) -> None:
        own = dict(params=params, tokens=tokens, loss=loss, weight=weight, sigma=sigma)
        columns = {name: np.asarray(x, float) for name, x in own.items() if x is not None}
        columns |= {} if group is None else {"group": np.asarray(group)}
        columns |= {name: _plain(column) for name, column in further.items()}
        for name, column in columns.items():
            if column.ndim != 1 or column.shape != columns["loss"].shape:
                raise Refusal(
                    f"{name} has the shape {column.shape} and loss {columns['loss'].shape}; "
                    "every column must have one value per run"
                )
        self._columns = columns
        self._names: dict[str, str] = {}
        for name in columns:
            if _key(name) in self._names:
                both = f"{self._names[_key(name)]!r} and {name!r}"
                raise Refusal(f"two columns are called {_key(name)}: {both}")
            self._names[_key(name)] = name

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Every column by name, in the order of the table."""
        return MappingProxyType(self._columns)

    @property
    def params(self) -> np.ndarray:
        """N of each run."""
        return self._columns["params"]

    @property
    def tokens(self) -> np.ndarray:
        """D of each run."""
        return self._columns["tokens"]

    @property
    def loss(self) -> np.ndarray:
        """The final loss of each run."""
        return self._columns["loss"]

    @property
    def weight(self) -> np.ndarray | None:
        """What multiplies a run's part in a fit."""
        return self._columns.get("weight")

    @property
    def sigma(self) -> np.ndarray | None:
        """The known standard error of each loss."""
        return self._columns.get("sigma")

    @property
    def group(self) -> np.ndarray | None:
        """Labels; runs of one group are not independent."""
        return self._columns.get("group")

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D / N of each run, or the table's own column of this name."""
        return self["tokens_per_param"]

    @property
    def train_flops(self) -> np.ndarray:
        """6 N D of each run, or the table's own column of this name."""
        return self["train_flops"]

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self.loss)

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""
        return _key(name) in self._names or _key(name) in _COMPUTED

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column by name.

        Raises:
            ValueError: there is no such column; the sentence names those there are.
        """
        found = self._names.get(_key(name))
        if found is not None:
            return self._columns[found]
        if _key(name) == "tokens_per_param":
            return self.tokens / self.params
        if _key(name) == "train_flops":
            return TRAIN_FLOPS_PER_PARAM_TOKEN * self.params * self.tokens
        raise Refusal(f"the runs have no column {name!r}; they have {', '.join(self._columns)}")

    def __repr__(self) -> str:
        """Return how many runs there are, and their columns."""
        return f"Runs({len(self)} runs: {', '.join(self._columns)})"

    def where(self, keep: Any) -> "Runs":
        """Return the runs that a mask or an index array keeps, in its order."""
        return Runs(**{name: column[keep] for name, column in self._columns.items()})

    def with_columns(self, **columns: Any) -> "Runs":
        """Return the runs with other or further columns; None takes one away.

        Example:
            >>> runs = Runs(params=[1e8], tokens=[2e9], loss=[3.6])
            >>> runs.with_columns(loss=[3.5], group=["a"])
            Runs(1 runs: params, tokens, loss, group)
        """
        changed = {self._names.get(_key(name), name): x for name, x in columns.items()}
        merged = self._columns | changed
        return Runs(**{name: column for name, column in merged.items() if column is not None})

    def within(self, **limits: Any) -> np.ndarray:
        """Return which runs are within limits, bounds included.

        Args:
            **limits: `min_NAME` and `max_NAME` of any column of numbers (`min_params`,
                `max_tokens_per_param`, `max_epochs` …); `NAME=value` or `NAME=[values]` of
                any column. A bound is widened by a thousandth: a run takes whole batches,
                and one of 100.02 tokens per parameter still counts as 100. A missing number
                is within no limit.

        Raises:
            ValueError: no such column, or a bound on text.
        """
        keep = np.ones(len(self), bool)
        for name, limit in limits.items():
            side, of = name[:4], name[4:]
            if name not in self and side in ("min_", "max_"):
                keep &= _beside(self._numbers(of, name), limit, side)
            else:
                keep &= _among(self[name], limit)
        return keep

    def select(self, **limits: Any) -> "Runs":
        """Return the runs within limits, named as `within` names them.

        Example:
            >>> table = {"params": [1e8, 1e8], "tokens": [2e9, 1e11], "loss": [3.6, 3.1]}
            >>> runs = Runs(**table, corpus=["c4", "pile"])
            >>> len(runs.select(max_tokens_per_param=100)), len(runs.select(corpus="pile"))
            (1, 1)
        """
        return self.where(self.within(**limits))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write all columns as CSV, in full precision, as `read_runs` reads it."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        cells = (_cells(column) for column in self._columns.values())
        writer.writerows(zip(*cells, strict=True))
        write_whole(Path(path), text.getvalue())

    def _numbers(self, name: str, limit: str) -> np.ndarray:
        column = self[name]
        if column.dtype.kind in "US":
            raise Refusal(f"{limit} is a bound on {name}, which is text; give {name}=value")
        return column


def _key(name: str) -> str:
    """Return the form in which names are compared."""
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


def _plain(column: Any) -> np.ndarray:
    """Return a column of floats, or of text where any value is text."""
    array = np.asarray(column)
    if array.dtype.kind in "iuf":
        return array.astype(float)
    return array.astype(str)


def _beside(column: np.ndarray, limit: float, side: str) -> np.ndarray:
    wide = WIDENED * abs(limit) if np.isfinite(limit) else 0.0
    return column >= limit - wide if side == "min_" else column <= limit + wide


def _among(column: np.ndarray, values: Any) -> np.ndarray:
    wanted = np.atleast_1d(np.asarray(values))
    if column.dtype.kind in "US":
        return np.isin(column, wanted.astype(str))
    try:
        return np.isin(column, wanted.astype(float))
    except ValueError:
        raise Refusal(f"{values!r} is not a number, as the column has them") from None


def _cells(column: np.ndarray) -> list[Any]:
    if column.dtype.kind != "f":
        return column.tolist()
    return ["" if np.isnan(x) else x for x in column.tolist()]
