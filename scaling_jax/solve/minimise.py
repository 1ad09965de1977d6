"""Constrained minimisation: an augmented Lagrangian, finished by Newton on the KKT system."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from scaling_jax.solve.augmented import Point, Problem, augmented_lagrangian
from scaling_jax.solve.implicit import dense, root
from scaling_jax.solve.newton import newton
from scaling_jax.solve.status import Solution, Status

# One object, so that the compiled programs that it is a static part of are found again.
DEFAULT_OPTIMISER = optax.lbfgs()


def minimise(
    objective: Callable[[Any], jax.Array],
    guess: Any,
    *,
    equality: Callable[[Any], Any] = lambda _: (),
    inequality: Callable[[Any], Any] = lambda _: (),
    optimiser: optax.GradientTransformation = DEFAULT_OPTIMISER,
) -> Solution:
    """Minimise f(x) subject to h(x) = 0 and g(x) <= 0, differentiably.

    The augmented Lagrangian, with `optimiser` inside, brings x near a local minimum and
    finds which inequalities bind; damped Newton steps on the KKT system

        grad f + lambda . grad h + mu . grad g = 0,   h = 0,   min(mu, -g) = 0

    then remove the remaining error. The result is differentiable, in both modes and to any
    order, with respect to whatever the functions close over.

    Args:
        objective: f, a smooth scalar function of a pytree x.
        guess: the pytree to start from; it also fixes shapes and dtype.
        equality: h, a pytree of numbers.
        inequality: g, a pytree of numbers.
        optimiser: any Optax transformation, `optax.lbfgs()` by default. The variables and
            functions should be of order one for it, so pass logarithms.

    Returns:
        A `Solution`; multipliers are flat arrays in the order of the constraints.
        `INFEASIBLE` where a constraint stays violated, `NOT_CONVERGED` where only the
        gradient condition fails; the value is NaN in both cases.

    Example:
        >>> def inside(x):
        ...     return x["a"] ** 2 + x["b"] ** 2 - 2.0
        >>> best = minimise(lambda x: x["a"] + x["b"], {"a": 0.3, "b": 0.1}, inequality=inside)
        >>> print(best.value["a"].round(3), best.inequality.round(3))
        -1.0 [0.5]
    """
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, guess))
    problem = Problem(
        objective=lambda x: objective(unravel(x)),
        equality=lambda x: ravel_pytree(equality(unravel(x)))[0].astype(flat.dtype),
        inequality=lambda x: ravel_pytree(inequality(unravel(x)))[0].astype(flat.dtype),
    )
    sizes = flat.size, problem.equality(flat).size, problem.inequality(flat).size

    def split(packed: jax.Array) -> Point:
        n, m, k = sizes
        return Point(packed[:n], packed[n : n + m], packed[n + m : n + m + k])

    def residual(packed: jax.Array) -> jax.Array:
        return _kkt(problem, split(packed))

    # The augmented Lagrangian only has to reach Newton's basin.
    coarse = float(jnp.finfo(flat.dtype).eps) ** 0.4

    def solve() -> jax.Array:
        point = augmented_lagrangian(problem, flat, optimiser, coarse)
        return newton(residual, jnp.concatenate(point))

    packed = root(residual, solve, dense)
    point = split(packed)
    error = jnp.abs(residual(packed))
    tolerance = float(jnp.finfo(flat.dtype).eps) ** 0.6
    unfeasible = _violation(problem, point.x) > tolerance
    converged = jnp.max(error) <= tolerance
    status = jnp.where(
        unfeasible | ~jnp.isfinite(jnp.max(error)),
        Status.INFEASIBLE,
        jnp.where(converged, Status.CONVERGED, Status.NOT_CONVERGED),
    )
    spoil = jnp.where(status == Status.CONVERGED, 1.0, jnp.nan).astype(flat.dtype)
    return Solution(
        value=unravel(point.x * spoil),
        equality=point.equality * spoil,
        inequality=point.inequality * spoil,
        residual=jnp.max(error),
        status=status,
    )


def _kkt(problem: Problem, point: Point) -> jax.Array:
    def lagrangian(x: jax.Array) -> jax.Array:
        equal = point.equality @ problem.equality(x)
        return problem.objective(x) + equal + point.inequality @ problem.inequality(x)

    g = problem.inequality(point.x)
    # min(mu, -g): its derivative switches with the active set (a semismooth Newton method).
    complementary = jnp.where(point.inequality + g > 0, g, point.inequality)
    return jnp.concatenate(
        [jax.grad(lagrangian)(point.x), problem.equality(point.x), complementary]
    )


def _violation(problem: Problem, x: jax.Array) -> jax.Array:
    both = jnp.concatenate([jnp.abs(problem.equality(x)), problem.inequality(x)])
    return jnp.max(both, initial=0.0)
