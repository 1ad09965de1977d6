"""Dense searches in NumPy: laws, costs, tokens, risks written down once more."""

import dataclasses
from collections.abc import Callable

import numpy as np

Formula = Callable[..., np.ndarray]


@dataclasses.dataclass
class Case:
    """One sample: its formulas of (N, D), the tokens that reach a loss, and its weight."""

    loss: Formula
    cost: Formula
    tokens: Formula
    weight: float


def power_sum(law, i: int) -> tuple[Formula, Formula]:
    """Return the loss of (N, D) and the tokens of (N, loss) of a stacked law."""
    E, A, alpha, B, beta = (np.asarray(getattr(law, x))[i] for x in "E A alpha B beta".split())
    k = np.asarray(law.k)[i] if hasattr(law, "k") else 1.0

    def tokens(n, loss):
        with np.errstate(invalid="ignore", divide="ignore"):
            left = (loss - E) ** (1 / k) - A / n**alpha
            return np.where(left > 0, (B / left) ** (1 / beta), np.inf)

    return lambda n, d: E + (A / n**alpha + B / d**beta) ** k, tokens


def risk(outcome, best, weight, name: str, level: float) -> np.ndarray:
    """Return the risk along the last axis, by the textbook: min over t of t + E(J-t)+/(1-l)."""
    weight = np.asarray(weight) / np.sum(weight)
    if name == "mean":
        return outcome @ weight
    if name == "regret":
        return (outcome - best).max(axis=-1)
    values = []
    for row in outcome.reshape(-1, outcome.shape[-1]):
        t = row[np.isfinite(row)]
        over = np.maximum(row[None, :] - t[:, None], 0)
        values.append(np.min(t + over @ weight / (1 - level)) if len(t) == len(row) else np.inf)
    return np.array(values).reshape(outcome.shape[:-1])


def adaptive(cases, sizes, loss: float, max_tokens: float = np.inf) -> np.ndarray:
    """Return the outcomes [sizes, cases] of sizes whose tokens reach the loss."""
    found = []
    for case in cases:
        tokens = case.tokens(sizes, loss)
        with np.errstate(invalid="ignore", over="ignore"):
            cost = case.cost(sizes, np.minimum(tokens, 1e30))
        found.append(np.where(tokens <= max_tokens * (1 + 1e-12), cost, np.inf))
    return np.stack(found, axis=-1)


def fixed(cases, params, tokens, loss: float, over, under) -> np.ndarray:
    """Return the outcomes [..., cases] of models, quality priced."""
    found = []
    for case, p, q in zip(cases, over, under, strict=True):
        lack = case.loss(params, tokens) - loss
        cost = case.cost(params, tokens)
        found.append(cost + p * np.maximum(lack, 0) + q * np.minimum(lack, 0))
    return np.stack(found, axis=-1)
