"""The search for the model of least risk, among outcomes of rows of samples."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.deciding import cutting, zooming
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
_BLOCK = 2**21


class Rows(NamedTuple):
    """Samples in m rows, for each of which a model is chosen.

    Attributes:
        samples: one for each family, with leaves [m, n].
        compromise: of each, whether `no`, `some` or `all` samples are without a plan.
        weights: [m, n] over all families; those of a row sum to 1.
    """

    samples: tuple[Sample, ...]
    compromise: tuple[str, ...]
    weights: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """The outcomes [m, n] of the best models."""
        return np.concatenate([np.asarray(each.best) for each in self.samples], axis=1)

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

    def detail(self, x: np.ndarray, rows: Rows) -> tuple[np.ndarray, Detail]:
        """Return slopes [m, n, d] and outcomes [m, n] of one model for each row."""
        at = jnp.asarray(x, self.reference.dtype)
        parts = [
            outcomes(at, self.reference, sample, self.question, Commit(self.adaptive, kind))
            for sample, kind in zip(rows.samples, rows.compromise, strict=True)
        ]
        return jax.tree.map(lambda *each: np.concatenate(each, axis=1), *parts)

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
        return [Found(x, float(value), None) for x, value in zip(*seen, strict=True)]

    def _risk(self, x: np.ndarray, rows: Rows, risk: Risk) -> tuple[np.ndarray, np.ndarray]:
        """Return the risks [m] of models [m, d], and subgradients.

        Where some sample has no such model the risk is infinite and the gradient leads back:
        a size that is too small never reaches a loss, one too large is not served in a budget.
        """
        slopes, found = self.detail(x, rows)
        at = rows.risk(found.outcome, risk)
        with np.errstate(invalid="ignore"):
            gradient = at.of(slopes)
        missing = ~(np.isfinite(at.value) & np.all(np.isfinite(gradient), axis=1))
        back = 1.0 if self.question.at_budget else -1.0
        return (
            np.where(missing, np.inf, at.value),
            np.where(missing[:, None], back, gradient),
        )

    def _values(self, x: np.ndarray, rows: Rows, risk: Risk) -> np.ndarray:
        """Return the risks [g, m] of models [g, m, d]."""
        block = max(1, min(64, _BLOCK // rows.weights.size))
        pad = -len(x) % block
        blocks = np.concatenate([x, np.repeat(x[-1:], pad, axis=0)]).reshape(
            -1, block, *x.shape[1:]
        )
        found = [each for at in blocks for each in self._block(at, rows, risk)]
        return np.array(found[: len(x)])

    def _block(self, x: np.ndarray, rows: Rows, risk: Risk) -> list[np.ndarray]:
        at = jnp.asarray(x, self.reference.dtype)
        parts = [
            table(at, self.reference, sample, self.question, Commit(self.adaptive, kind))
            for sample, kind in zip(rows.samples, rows.compromise, strict=True)
        ]
        outcome = np.concatenate([np.asarray(part) for part in parts], axis=2)
        return [rows.risk(each, risk).value for each in outcome]
