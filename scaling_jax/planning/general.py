"""The general path: any differentiable law and cost, and more decision variables than (N, D).

The decision variables are log N, log D and each further choice on the unit interval between
its bounds, so that every variable is of order one. At a loss, min log cost subject to
log(law / loss) <= 0; at a budget, min log law subject to log(cost / budget) <= 0; the limits
are further inequalities. A coarse grid gives the start.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from scaling_jax._numerics import log_large
from scaling_jax._pytree import Number
from scaling_jax.costs import Bill
from scaling_jax.planning.records import Limit, Plan, PricedModel, Query
from scaling_jax.planning.validity import final_status, in_range, spoil, valid
from scaling_jax.solve import Solution, Status, minimise

Bounds = dict[str, tuple[Number, Number]]
Variables = dict[str, jax.Array]

# The grid that is searched for a start: 1e3 … 1e17 params, 1e4 … 1e20 tokens.
_LOG_PARAMS = (7.0, 39.0)
_LOG_TOKENS = (9.0, 46.0)
_GRID_POINTS = 65

# A multiplier, d log(objective) / d log(limit), above rounding error.
_BINDING = 1e-7


class _Scenario(NamedTuple):
    """One law, cost, demand and query, as functions of the decision variables."""

    law: Callable[..., jax.Array]
    cost: Callable[..., Bill]
    demand: Any
    query: Query
    bounds: Bounds

    def model(self, x: Variables) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Return params, tokens and the further choices."""
        q = self.query
        params = jnp.exp(x["params"]) if q.params is None else jnp.asarray(q.params)
        tokens = jnp.exp(x["tokens"]) if q.tokens is None else jnp.asarray(q.tokens)
        extra = {
            name: jnp.asarray(low + x[name] * (high - low))
            for name, (low, high) in self.bounds.items()
        }
        return params, tokens, extra

    def log_loss(self, x: Variables) -> jax.Array:
        params, tokens, extra = self.model(x)
        return jnp.log(self.law(params, tokens, **extra))

    def log_cost(self, x: Variables) -> jax.Array:
        params, tokens, extra = self.model(x)
        return log_large(jnp.asarray(self.cost(params, tokens, self.demand, **extra).total))

    def objective(self, x: Variables) -> jax.Array:
        return self.log_cost(x) if self.query.budget is None else self.log_loss(x)

    def target(self, x: Variables) -> jax.Array:
        """Return the constraint on the target, met where it is zero or less."""
        if self.query.loss is not None:
            return self.log_loss(x) - jnp.log(self.query.loss)
        assert self.query.budget is not None
        return self.log_cost(x) - jnp.log(self.query.budget)

    def constraints(self, x: Variables) -> list[jax.Array]:
        """Return target, max_params, max_tokens, then the bounds of the choices."""
        params, tokens, _ = self.model(x)
        rows = [self.target(x), *self._limits(params, tokens)]
        for name in self.bounds:
            rows += [-x[name], x[name] - 1]
        return rows

    def _limits(self, params: jax.Array, tokens: jax.Array) -> list[jax.Array]:
        pairs = (params, self.query.max_params), (tokens, self.query.max_tokens)
        return [jnp.log(x) - jnp.log(cap) for x, cap in pairs if cap is not None]


def general_plan(
    law: Callable[..., jax.Array],
    cost: Callable[..., Bill],
    demand: Any,
    query: Query,
    bounds: Bounds,
    optimiser: optax.GradientTransformation,
) -> Plan:
    """Return the optimum for one scenario, differentiable in every input."""
    scenario = _Scenario(law, cost, demand, query, bounds)
    found = _solve(scenario, optimiser)
    multipliers = jnp.asarray(found.inequality)
    params, tokens, choices = scenario.model(found.value)
    model = _priced(law, cost, demand, (params, tokens, choices))
    # The baseline ignores demand when it chooses its size; the other choices are the plan's.
    alone = _Scenario(
        law=lambda n, d: law(n, d, **choices),
        cost=lambda n, d, _demand: cost(n, d, _demand, **choices),
        demand=jax.tree.map(jnp.zeros_like, demand),
        query=Query(loss=model.loss),
        bounds={},
    )
    size, data, _ = alone.model(_solve(alone, optimiser).value)
    baseline = _priced(law, cost, demand, (size, data, choices))
    allowed = valid((law, cost, demand, query))
    status = final_status(found.status, in_range(model), allowed)
    marginal = _marginal_cost(model, multipliers[0], query)
    model, baseline, marginal, choices = spoil(
        status == Status.CONVERGED, (model, baseline, marginal, choices)
    )
    return Plan(
        **vars(model),
        baseline=baseline,
        marginal_cost=marginal,
        limit=_limit(multipliers, query),
        status=status,
        choices=dict(choices),
    )


def _solve(scenario: _Scenario, optimiser: optax.GradientTransformation) -> Solution:
    return minimise(
        scenario.objective,
        jax.lax.stop_gradient(_start(scenario)),
        inequality=scenario.constraints,
        optimiser=optimiser,
    )


def _start(scenario: _Scenario) -> Variables:
    """Return the best point of a coarse grid; where none is feasible, the least violated."""
    query = scenario.query
    dtype = jnp.result_type(query.loss if query.budget is None else query.budget)
    axes = {}
    if query.params is None:
        axes["params"] = _axis(_LOG_PARAMS, query.max_params, dtype)
    if query.tokens is None:
        axes["tokens"] = _axis(_LOG_TOKENS, query.max_tokens, dtype)
    mesh = jnp.meshgrid(*axes.values(), indexing="ij")
    points = {name: grid.ravel() for name, grid in zip(axes, mesh, strict=True)}
    middle = jnp.full_like(next(iter(points.values())), 0.5)
    points |= dict.fromkeys(scenario.bounds, middle)

    def merit(x: Variables) -> jax.Array:
        target = scenario.target(x)
        infeasible = 1e6 * (1 + jnp.abs(target))
        value = jnp.where(target <= 0, scenario.objective(x), infeasible)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    best = jnp.argmin(jax.vmap(merit)(points))
    return jax.tree.map(lambda column: column[best], points)


def _axis(span: tuple[float, float], cap: Number | None, dtype: Any) -> jax.Array:
    axis = jnp.linspace(*span, _GRID_POINTS, dtype=dtype)
    return axis if cap is None else jnp.minimum(axis, jnp.log(cap))


def _priced(
    law: Callable[..., jax.Array],
    cost: Callable[..., Bill],
    demand: Any,
    model: tuple[jax.Array, jax.Array, dict[str, jax.Array]],
) -> PricedModel:
    params, tokens, choices = model
    bill = cost(params, tokens, demand, **choices)
    return PricedModel(
        params=params,
        tokens=tokens,
        loss=law(params, tokens, **choices),
        train_cost=jnp.asarray(bill.train),
        serve_cost=jnp.asarray(bill.serve),
    )


def _marginal_cost(model: PricedModel, multiplier: jax.Array, query: Query) -> jax.Array:
    """The target's multiplier is a logarithmic derivative; return d(cost) / d(loss)."""
    ratio = model.total_cost / model.loss
    return -ratio * multiplier if query.budget is None else -ratio / multiplier


def _limit(multipliers: jax.Array, query: Query) -> jax.Array:
    """Read from the multipliers which of the limits bind."""
    row, code = 1, jnp.asarray(0)
    caps = (query.max_params, Limit.MAX_PARAMS), (query.max_tokens, Limit.MAX_TOKENS)
    for cap, limit in caps:
        if cap is not None:
            code += jnp.where(multipliers[row] > _BINDING, limit.value, 0)
            row += 1
    return code
