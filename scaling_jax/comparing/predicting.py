"""How the families of a comparison, and their mixture, predict further runs."""

from typing import Any, NamedTuple

import jax
import numpy as np

from scaling_jax._axes import call_law, law_axes
from scaling_jax._errors import Refusal
from scaling_jax.comparing.records import Comparison, Member
from scaling_jax.runs import Runs, read_runs

_TAILS = (0.025, 0.975)


class Prediction(NamedTuple):
    """How further runs were predicted.

    Attributes:
        predicted: the loss of each run, [n], nats per token.
        errors: predicted / measured - 1, [n].
        interval: the 95 % interval of each measured loss, [2, n]: that of resampled laws,
            with a residual of the fit drawn beside each; None without resamples.
        coverage: the share of the runs whose loss is in its interval; None likewise.
    """

    predicted: np.ndarray
    errors: np.ndarray
    interval: np.ndarray | None
    coverage: float | None

    @property
    def mean_error(self) -> float:
        """The mean absolute error, relative."""
        return float(np.abs(self.errors).mean())

    @property
    def bias(self) -> float:
        """The mean signed error, relative."""
        return float(self.errors.mean())


def predict(found: Comparison, runs: Runs | Any, *, seed: int = 0) -> dict[str, Prediction]:
    """Return by name how each family of a comparison, and "mixture", predicts runs.

    Args:
        found: the comparison.
        runs: other runs, with the axes that the laws read.
        seed: of the residuals that are drawn for the intervals.

    Raises:
        ValueError: the runs lack an axis that a law reads.

    Example:
        >>> from scaling_jax.comparing import compare
        >>> from scaling_jax.laws import Coupled, Tied
        >>> from scaling_jax.runs import CPU47
        >>> found = compare(CPU47.select(max_tokens_per_param=100), [Coupled, Tied])
        >>> sorted(predict(found, CPU47.select(min_tokens_per_param=101)))
        ['coupled', 'mixture', 'tied']
    """
    table = read_runs(runs)
    within = [each for each in found.members if each.weight > 0]
    mixture, rng = found.mixture, np.random.default_rng([seed, 4])
    stacks = () if mixture.resampled is None else mixture.resampled.laws
    own = dict(zip((each.name for each in within), stacks, strict=False))
    with jax.enable_x64(True):
        answers = {}
        for each in found.members:
            many = own.get(each.name)
            noise = _noise(each, rng, _length(many))
            answers[each.name] = _prediction(each.fitted.law, many, table, noise)
        noises = np.stack([_noise(each, rng, _length(mixture.resampled)) for each in within])
        chosen = _chosen(mixture.resampled)
        noise = noises[chosen, np.arange(len(chosen))]
        answers["mixture"] = _prediction(mixture.law, mixture.resampled, table, noise)
    return answers


def _length(laws: Any) -> int:
    return 0 if laws is None else len(jax.tree.leaves(laws)[0])


def _chosen(mixture: Any) -> np.ndarray:
    """Return which member each draw of the mixture is of."""
    return np.zeros(0, int) if mixture is None else np.argmax(mixture.weights, axis=0)


def _noise(member: Member, rng: np.random.Generator, count: int) -> np.ndarray:
    """Return residuals drawn from those of a fit, as wide as the noise, [count]."""
    problem = member.fitted.problem
    residuals = member.fitted.residuals[problem.counted]
    free = np.sqrt(len(residuals) / max(problem.degrees_of_freedom, 1))
    return free * rng.choice(residuals - residuals.mean(), count)


def _prediction(law: Any, many: Any, table: Runs, noise: np.ndarray) -> Prediction:
    predicted = _losses(law, table)
    errors = predicted / table.loss - 1
    if many is None:
        return Prediction(predicted, errors, None, None)
    losses = np.asarray(jax.vmap(lambda one: _losses_of(one, table))(many))
    interval = np.quantile(losses * np.exp(noise)[:, None], _TAILS, axis=0)
    inside = (table.loss >= interval[0]) & (table.loss <= interval[1])
    return Prediction(predicted, errors, interval, float(inside.mean()))


def _losses(law: Any, table: Runs) -> np.ndarray:
    return np.asarray(_losses_of(law, table), float)


def _losses_of(law: Any, table: Runs) -> Any:
    read = law_axes(law)
    for name in read.required:
        if name not in table:
            raise Refusal(
                f"the law reads {name!r}, of which the runs to predict have no column; they "
                f"have {', '.join(table.columns)}"
            )
    axes = {name: table[name] for name in read.names if name in table}
    return call_law(law, table.params, table.tokens, **axes)
