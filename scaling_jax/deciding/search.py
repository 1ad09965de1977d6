"""The search for the model of least risk, among outcomes of rows of samples."""

from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax.deciding import cutting, zooming
from scaling_jax.deciding.blocks import joined, split
from scaling_jax.deciding.outcomes import (
    Commit,
    Detail,
    Question,
    Sample,
    outcomes,
    table,
)
from scaling_jax.deciding.risks import Risk, Tail, tail

# Outcomes that are held in memory at once.
_AT_ONCE = 2**21
# How far, in log N and log D, what a grid has found is polished.
_REACH = (0.1, 0.01)


class Stack(NamedTuple):
    """The samples of one family in m rows of n.

    Attributes:
        blocks: the samples, row by row, in blocks on the device.
        shape: (m, n).
        best, goal: [m, n], the outcomes of the best models, and what is aimed at.
        compromise: whether `no`, `some` or `all` samples are without a plan.
    """

    blocks: list[Sample]
    shape: tuple[int, int]
    best: np.ndarray
    goal: np.ndarray
    compromise: str

    @classmethod
    def of(cls, sample: Sample, rows: int, size: int) -> "Stack":
        """Return samples of leaves [m n] in m rows, in blocks of a size."""
        shape = rows, len(sample.best) // rows
        reached = np.asarray(sample.feasible)
        kind = "no" if reached.all() else "some" if reached.any() else "all"
        best, goal = (np.reshape(each, shape) for each in (sample.best, sample.goal))
        return cls(split(sample, size), shape, best, goal, kind)

    def in_one_row(self) -> "Stack":
        """Return the samples as one row."""
        best, goal = (each.reshape(1, -1) for each in (self.best, self.goal))
        return self._replace(shape=best.shape, best=best, goal=goal)

    def each(self, x: np.ndarray) -> list[np.ndarray]:
        """Return models x [..., m, d], one a row, by block as [..., size, d]."""
        size = self.blocks[0].best.size
        x = np.repeat(x, self.shape[1], axis=-2)
        fill = size * len(self.blocks) - x.shape[-2]
        x = np.concatenate([x, np.repeat(x[..., -1:, :], fill, axis=-2)], axis=-2)
        return np.split(x, len(self.blocks), axis=-2)


class Rows(NamedTuple):
    """Samples in m rows, for each of which a model is chosen.

    Attributes:
        stacks: one for each family, or part of one.
        weights: [m, n] over all of them; those of a row sum to 1.
        best: [m, n], the outcomes of the best models.
    """

    stacks: tuple[Stack, ...]
    weights: np.ndarray
    best: np.ndarray

    @classmethod
    def of(cls, stacks: list[Stack], weights: np.ndarray) -> "Rows":
        """Return stacks of m rows each, side by side."""
        best = np.concatenate([each.best for each in stacks], axis=1)
        return cls(tuple(stacks), weights, best)

    @property
    def goal(self) -> np.ndarray:
        """What is aimed at, [m, n]."""
        return np.concatenate([each.goal for each in self.stacks], axis=1)

    def risk(self, outcome: np.ndarray, risk: Risk) -> Tail:
        """Return the risk of outcomes [m, n]."""
        return tail(outcome, self.best, self.weights, risk)


class Found(NamedTuple):
    """The model of least risk as x [d], its risk, and how far at most it is from the least."""

    x: np.ndarray
    value: float
    gap: float | None


class Seeker(NamedTuple):
    """How a commitment is sought: its kind, the box to start with, and how fine it ends.

    Attributes:
        adaptive: whether tokens are adapted.
        convex: whether outcomes are known to be convex.
        question: the target and the limits.
        reference: [2], N0 and D0, from which logarithms x [d] are counted.
        low, high: [d], the box.
        cap: [d], the limits.
        tolerance: the difference in risk that is negligible.
        extra: [k, d], points that are tried where outcomes are not convex.
    """

    adaptive: bool
    convex: bool
    question: Question
    reference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cap: np.ndarray
    tolerance: float
    extra: np.ndarray

    def detail(self, x: np.ndarray, rows: Rows) -> Any:
        """Return what comes [m, n] of one model x [m, d] for each row."""
        return _side_by_side(rows, [[each[1] for each in seen] for seen in self._seen(x, rows)])

    def slopes(self, x: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the outcomes [m, n] and their slopes [m, n, d]."""
        seen = [
            [(found.outcome, slopes) for slopes, found in each] for each in self._seen(x, rows)
        ]
        return _side_by_side(rows, seen)

    def _seen(self, x: np.ndarray, rows: Rows) -> list[list[tuple[Any, Detail]]]:
        return [
            [
                outcomes(
                    at,
                    self.reference,
                    block,
                    self.question,
                    Commit(self.adaptive, stack.compromise),
                )
                for at, block in zip(self._blocks(x, stack), stack.blocks, strict=True)
            ]
            for stack in rows.stacks
        ]

    def _blocks(self, x: np.ndarray, stack: Stack) -> list[np.ndarray]:
        return stack.each(np.asarray(x, self.reference.dtype))

    def settled(self, found: Found, rows: Rows, risk: Risk) -> tuple["Seeker", float]:
        """Return the search ended at a model whose numbers are those that are reported.

        Next to a step of the cost, rounding may put them on its other side.
        """
        point = self.reference.copy()
        point[: len(found.x)] *= np.exp(found.x)
        most = (self.question.max_params, self.question.max_tokens)
        point = np.minimum(point, [np.inf if x is None else float(x) for x in most])
        here = self._replace(reference=point, low=0 * found.x, high=0 * found.x)
        if self.convex:
            return here, found.value
        slack = 8 * float(np.finfo(point.dtype).eps)
        near = [
            here._replace(reference=point * np.array([1 - side * slack, 1.0]))
            for side in ((0, 1) if point[0] == most[0] else (0, 1, -1))
        ]
        values = [each._risk(each.low[None], rows, risk)[0][0] for each in near]
        best = int(np.argmin(np.array(values) > min(values) + self.tolerance))
        return near[best], float(values[best])

    def least(self, rows: Rows, risk: Risk) -> list[Found]:
        """Return the model of least risk for each row."""
        low, high = (np.tile(edge, (len(rows.weights), 1)) for edge in (self.low, self.high))
        if self.convex:
            found = cutting.minimise(
                lambda x: self._risk(x, rows, risk), low, high, self.tolerance, self.cap
            )
            return [Found(each.x, each.value, each.gap) for each in found]
        if np.all(self.low == self.high):  # the samples agree
            value, _ = self._risk(low, rows, risk)
            return [Found(x, float(v), None) for x, v in zip(low, value, strict=True)]
        seen = zooming.minimise(
            lambda x: self._values(x, rows, risk),
            low,
            high,
            cap=self.cap,
            tolerance=self.tolerance,
            extra=self.extra,
        )
        return self._polished(
            [Found(x, float(value), None) for x, value in zip(*seen, strict=True)], rows, risk
        )

    def _polished(self, found: list[Found], rows: Rows, risk: Risk) -> list[Found]:
        """Return what cutting planes lower, near what a grid has found.

        Along a slanted kink, as of a CVaR or a largest regret, windows get stuck; outcomes are
        mostly convex on so small a scale, and what is not lower is not taken.
        """
        for reach in _REACH:
            x = np.array([each.x for each in found])
            again = cutting.minimise(
                lambda x: self._risk(x, rows, risk),
                x - reach,
                x + reach,
                self.tolerance,
                self.cap,
            )
            found = [
                Found(new.x, float(new.value), None) if new.value < old.value else old
                for new, old in zip(again, found, strict=True)
            ]
        return found

    def _risk(self, x: np.ndarray, rows: Rows, risk: Risk) -> tuple[np.ndarray, np.ndarray]:
        """Return the risks [m] of models [m, d], and subgradients.

        Where some sample has no such model the risk is infinite and the gradient leads back:
        a size that is too small never reaches a loss, one too large is not served in a budget.
        """
        outcome, slopes = self.slopes(x, rows)
        at = rows.risk(outcome, risk)
        with np.errstate(invalid="ignore"):
            gradient = at.of(slopes)
        missing = ~(np.isfinite(at.value) & np.all(np.isfinite(gradient), axis=1))
        back = 1.0 if self.question.at_budget else -1.0
        return (
            np.where(missing, np.inf, at.value),
            np.where(missing[:, None], back, gradient),
        )

    def _values(self, x: np.ndarray, rows: Rows, risk: Risk) -> np.ndarray:
        """Return the risks [g, m] of models [g, m, d], some of them at a time."""
        at_once = max(1, min(64, _AT_ONCE // max(rows.weights.size, 1)))
        fill = np.repeat(x[-1:], -len(x) % at_once, axis=0)
        parts = np.split(np.concatenate([x, fill]), -(-len(x) // at_once))
        found = [
            rows.risk(outcome, risk).value
            for part in parts
            for outcome in self._table(part, rows)
        ]
        return np.array(found[: len(x)])

    def _table(self, x: np.ndarray, rows: Rows) -> np.ndarray:
        """Return the outcomes [g, m, n] of models [g, m, d]."""
        found = []
        for stack in rows.stacks:
            commit = Commit(self.adaptive, stack.compromise)
            seen = [
                table(at, self.reference, block, self.question, commit)
                for at, block in zip(self._blocks(x, stack), stack.blocks, strict=True)
            ]
            m, n = stack.shape
            flat = np.concatenate(seen, axis=1)[:, : m * n]
            found.append(flat.reshape(len(x), m, n))
        return np.concatenate(found, axis=2)


def _side_by_side(rows: Rows, seen: list[list[Any]]) -> Any:
    """Return what came of the blocks of each stack as arrays [m, n, ...] over all of them."""
    parts = []
    for stack, blocks in zip(rows.stacks, seen, strict=True):
        flat = joined(blocks, stack.shape[0] * stack.shape[1])
        parts.append(
            jax.tree.map(lambda x, shape=stack.shape: x.reshape(*shape, *x.shape[1:]), flat)
        )
    return jax.tree.map(lambda *each: np.concatenate(each, axis=1), *parts)
