"""What a committed model comes to in each sample, with derivatives.

At a target loss l the outcome J of a model is in the unit of the cost, with C the total cost
and L its loss:

    adaptive: N is fixed, and D is what brings N to the target, so  J = C(N, D)
    fixed:    N and D are fixed, and J = C(N, D) + p (L(N, D) - l)

so quality that is missing, or in excess, has a price, p of that sample (`optima.py`). In a
sample that no model brings to the target, tokens are adapted so as to make the second J
least. At a budget K the outcome is a loss, in nats per token:

    adaptive: N is fixed, and D is what spends the budget, so  J = L(N, D)
    fixed:    J = L(N, D) + p (C(N, D) - K)

The two are one problem with the parts exchanged: an objective, and a resource with a goal.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._axes import call_cost
from scaling_jax._pytree import Number, Record
from scaling_jax.costs import LinearCost
from scaling_jax.deciding.scalar import first_root, least
from scaling_jax.deciding.scenarios import Group
from scaling_jax.laws import Law
from scaling_jax.planning.scenario import LOG_TOKENS, law_axes_of
from scaling_jax.planning.scenario import loss_of as loss_under
from scaling_jax.solve import increasing_root

# On the device or on the host.
Array = jax.Array | np.ndarray
# The tokens of a compromise: points of a grid, and levels of finer ones.
_POINTS, _LEVELS = 32, 18


class Question(NamedTuple):
    """What is asked of every sample: a target, and limits; what is None is not asked for."""

    loss: Number | None = None
    budget: Number | None = None
    match_params: Number | None = None
    match_tokens: Number | None = None
    max_params: Number | None = None
    max_tokens: Number | None = None

    @property
    def at_budget(self) -> bool:
        """Whether the outcome is a loss, and the cost has the goal."""
        return self.budget is not None

    def exchange(self, cost: Any, loss: Any) -> tuple[Any, Any]:
        """Return (objective, resource)."""
        return (loss, cost) if self.at_budget else (cost, loss)


class Sample(Record):
    """Samples with their goal and what is best in each; leaves of one shape.

    Attributes:
        group: laws, costs, demands and axes.
        goal: the loss or the budget.
        best: the outcome of the best model.
        over, under: the prices of missing the goal, and of doing better than it.
        feasible: whether a plan reaches the goal.
    """

    group: Group
    goal: Array
    best: Array
    over: Array
    under: Array
    feasible: Array


class Detail(NamedTuple):
    """What happens to a committed model in each sample."""

    outcome: jax.Array
    tokens: jax.Array
    loss: jax.Array
    cost: jax.Array


class Commit(NamedTuple):
    """How tokens are committed to; static.

    Attributes:
        adaptive: whether they are adapted once the sample is known.
        compromise: of adapted ones, whether `no`, `some` or `all` samples are without a plan.
    """

    adaptive: bool
    compromise: str = "no"


def detail(
    x: jax.Array, reference: jax.Array, sample: Sample, question: Question, commit: Commit
) -> Detail:
    """Return what happens to one commitment in one sample (scalars).

    Args:
        x: [1] or [2], log (N / N0) and, of a fixed model, log (D / D0).
        reference: [2], N0 and D0.
        sample: one sample.
        question: the target and the limits.
        commit: how tokens are committed to.
    """
    # The numbers themselves, not their logarithms, decide on which side of a step they are.
    params = reference[0] * jnp.exp(x[0])
    group, exact = sample.group, commit.adaptive and commit.compromise != "all"
    if commit.adaptive:
        tokens = jnp.exp(_tokens(jnp.log(params), sample, question, commit.compromise))
    else:
        tokens = reference[1] * jnp.exp(x[1])
    loss = loss_of(group, jnp.log(params), jnp.log(tokens))
    cost = cost_of(group, params, tokens)
    objective, resource = question.exchange(cost, loss)
    outcome = priced(objective, resource, sample)
    if exact:  # the goal is met, but for rounding
        outcome = jnp.where(sample.feasible, objective, outcome)
    return Detail(outcome, tokens, loss, cost)


def priced(objective: Any, resource: Any, sample: Sample) -> jax.Array:
    """Return the objective plus what is missing of the goal, priced."""
    lack = resource - sample.goal
    missing, better = jnp.maximum(lack, 0.0), jnp.minimum(lack, 0.0)
    return objective + sample.over * missing + sample.under * better


def _tokens(
    log_params: jax.Array, sample: Sample, question: Question, compromise: str
) -> jax.Array:
    """Return log D as it is adapted."""
    if compromise == "all":
        return _compromise(log_params, sample, question)
    exact = _adapted(log_params, sample, question)
    if compromise == "no":
        return exact
    return jnp.where(sample.feasible, exact, _compromise(log_params, sample, question))


def _adapted(log_params: jax.Array, sample: Sample, question: Question) -> jax.Array:
    """Return log D that brings N to the goal; NaN where none does."""
    group, last = sample.group, _last(log_params, sample.group, question)
    if question.at_budget:
        return _spending(log_params, sample, last)
    found = None
    if isinstance(group.law, Law):
        axes = law_axes_of(group.law, group.axes)
        found = group.law.log_tokens_for(sample.goal, log_params, **axes)
    if found is None:
        goal = jnp.asarray(sample.goal)
        found = first_root(
            lambda d: goal - loss_of(group, log_params, d), jnp.zeros_like(last), last
        )
    slack = 8 * float(jnp.finfo(last.dtype).eps) * last
    return jnp.where(found <= last + slack, jnp.minimum(found, last), jnp.nan)


def _spending(log_params: jax.Array, sample: Sample, last: jax.Array) -> jax.Array:
    """Return log D that spends the budget, at most the last; NaN where none is paid for."""
    group = sample.group
    if isinstance(group.cost, LinearCost):
        rates = group.cost.rates(group.demand)
        left = (sample.goal / jnp.exp(log_params) - rates.serve) / rates.train
        found = jnp.log(jnp.where(left > 0, left, jnp.nan))
        return jnp.minimum(found, last)

    def log_cost(log_tokens: jax.Array) -> jax.Array:
        return jnp.log(cost_of(group, jnp.exp(log_params), jnp.exp(log_tokens)))

    goal = jnp.log(sample.goal)
    rest = log_cost(last) <= goal
    # A branch that is not taken must still be finite: its root is then the middle.
    goal = jnp.where(rest, log_cost(last / 2), goal)
    found = increasing_root(lambda d: log_cost(d) - goal, jnp.zeros_like(last), last)
    return jnp.where(rest, last, found)


def _compromise(log_params: jax.Array, sample: Sample, question: Question) -> jax.Array:
    """Return log D of the least outcome where the goal is out of reach; no derivative."""
    sample, log_params = jax.lax.stop_gradient((sample, log_params))
    group, last = sample.group, _last(log_params, sample.group, question)

    def outcome(log_tokens: jax.Array) -> jax.Array:
        cost = cost_of(group, jnp.exp(log_params), jnp.exp(log_tokens))
        loss = loss_of(group, log_params, log_tokens)
        value = priced(*question.exchange(cost, loss), sample)
        return jnp.where(jnp.isnan(value), jnp.inf, value)

    best, _ = least(outcome, jnp.zeros_like(last), last, _POINTS, _LEVELS)
    return jax.lax.stop_gradient(best)


def _last(log_params: jax.Array, group: Group, question: Question) -> jax.Array:
    """Return log D up to which tokens are of use and to be had."""
    last = jnp.full_like(log_params, LOG_TOKENS[1])
    if question.max_tokens is not None:
        last = jnp.minimum(last, jnp.log(question.max_tokens))
    if isinstance(group.law, Law):
        falls = group.law.falls_until(jnp.exp(log_params), **law_axes_of(group.law, group.axes))
        last = jnp.minimum(last, jnp.log(falls))
    return last


def loss_of(group: Group, log_params: jax.Array, log_tokens: jax.Array) -> jax.Array:
    """Return the losses of models under the laws of a group."""
    return jnp.asarray(loss_under(group.law, log_params, log_tokens, group.axes))


def cost_of(group: Group, params: jax.Array, tokens: jax.Array) -> jax.Array:
    """Return the total costs of models."""
    bill = call_cost(group.cost, params, tokens, group.demand, **group.axes)
    return jnp.asarray(bill.total)


@jax.jit(static_argnames="commit")
def outcomes(
    x: jax.Array, reference: jax.Array, sample: Sample, question: Question, commit: Commit
) -> tuple[jax.Array, Detail]:
    """Return what happens to commitments x [n, d] in samples of leaves [n], one in one.

    Returns:
        The slopes dJ/dx [n, d], and a `Detail` of arrays [n].
    """

    def one(x: jax.Array, sample: Sample) -> tuple[jax.Array, Detail]:
        found = detail(x, reference, sample, question, commit)
        return found.outcome, found

    return jax.vmap(jax.jacfwd(one, has_aux=True))(x, sample)


@jax.jit(static_argnames="commit")
def table(
    x: jax.Array, reference: jax.Array, sample: Sample, question: Question, commit: Commit
) -> jax.Array:
    """Return the outcomes [g, n] of commitments x [g, n, d] in samples of leaves [n]."""

    def one(x: jax.Array, sample: Sample) -> jax.Array:
        return detail(x, reference, sample, question, commit).outcome

    return jax.vmap(jax.vmap(one), in_axes=(0, None))(x, sample)
