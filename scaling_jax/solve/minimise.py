"""Constrained minimisation: Newton on the KKT system, Optax where that does not get there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from scaling_jax.solve.augmented import Point, Problem, augmented_lagrangian
from scaling_jax.solve.implicit import dense, root
from scaling_jax.solve.newton import newton
from scaling_jax.solve.status import Solution, Status

if TYPE_CHECKING:
    import optax


def minimise(
    objective: Callable[[Any], jax.Array],
    guess: Any,
    *,
    equality: Callable[[Any], Any] = lambda _: (),
    inequality: Callable[[Any], Any] = lambda _: (),
    bounds: tuple[Any, Any] | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> Solution:
    """Minimise f(x) subject to h(x) = 0, g(x) <= 0 and low <= x <= high, differentiably.

    The augmented Lagrangian, with `optimiser` inside, brings x near a local minimum and
    finds which inequalities bind; damped Newton steps on the KKT system

        x = clip(x - grad (f + lambda . h + mu . g), low, high),   h = 0,   min(mu, -g) = 0

    then remove the remaining error. Without an `optimiser` Newton is tried from the guess
    first, and L-BFGS begins only where that does not converge to a point as good. The result
    is differentiable, in both modes and to any order, with respect to whatever the functions
    and bounds close over.

    Args:
        objective: f, a smooth scalar function of a pytree x.
        guess: the pytree to start from; it also fixes shapes and dtype.
        equality: h, a pytree of numbers.
        inequality: g, a pytree of numbers.
        bounds: the pytrees low and high, which may be infinite.
        optimiser: any Optax transformation, such as `optax.lbfgs()`. The variables and
            functions should be of order one for it, so pass logarithms.

    Returns:
        A `Solution`; multipliers are flat arrays in the order of the constraints.
        `INFEASIBLE` where a constraint stays violated, `NOT_CONVERGED` where only the
        gradient condition fails or a number is not finite; the value is NaN in both cases.

    Example:
        >>> def inside(x):
        ...     return x["a"] ** 2 + x["b"] ** 2 - 2.0
        >>> best = minimise(lambda x: x["a"] + x["b"], {"a": 0.3, "b": 0.1}, inequality=inside)
        >>> print(best.value["a"].round(3), best.inequality.round(3))
        -1.0 [0.5]
    """
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, guess))
    low, high = (
        (jnp.full_like(flat, -jnp.inf), jnp.full_like(flat, jnp.inf))
        if bounds is None
        else (ravel_pytree(end)[0].astype(flat.dtype) for end in bounds)
    )
    problem = Problem(
        objective=lambda x: objective(unravel(x)),
        equality=lambda x: ravel_pytree(equality(unravel(x)))[0].astype(flat.dtype),
        inequality=lambda x: ravel_pytree(inequality(unravel(x)))[0].astype(flat.dtype),
        low=low,
        high=high,
    )
    start = problem.start(flat)

    def residual(packed: jax.Array) -> jax.Array:
        return problem.residual(problem.split(packed))

    def solve() -> tuple[jax.Array, jax.Array]:
        return _solve(problem, start, residual, optimiser)

    packed, error = root(residual, solve, dense, has_aux=True)
    point = problem.split(packed)
    tolerance = float(jnp.finfo(flat.dtype).eps) ** 0.6
    violated = problem.violation(jax.lax.stop_gradient(point.x)) > tolerance
    status = jnp.where(violated, Status.INFEASIBLE, Status.NOT_CONVERGED)
    status = jnp.where(error <= tolerance, Status.CONVERGED, status)
    sound = jnp.where(status == Status.CONVERGED, 1.0, jnp.nan).astype(flat.dtype)
    return Solution(
        value=unravel(point.x * sound),
        equality=point.equality * sound,
        inequality=point.inequality * sound,
        residual=error,
        status=status,
    )


def _solve(
    problem: Problem,
    start: Point,
    residual: Callable[[jax.Array], jax.Array],
    optimiser: optax.GradientTransformation | None,
) -> tuple[jax.Array, jax.Array]:
    """Return the packed point and its error: from the guess, then from where Optax leads."""
    eps = float(jnp.finfo(start.x.dtype).eps)
    feasible = problem.violation(start.x) <= eps**0.6
    dearest = problem.objective(start.x) + eps**0.6

    def attempt(i: jax.Array, carry: Any) -> Any:
        packed, error, done = carry
        first = done | (i == 0)
        # The augmented Lagrangian only has to reach Newton's basin.
        led = augmented_lagrangian(
            problem, start, optimiser or _default_optimiser(), eps**0.4, first
        )
        near, size = newton(residual, jnp.concatenate(led), done)
        # From a guess that meets its constraints nothing dearer is accepted.
        x = problem.split(near).x
        right = (size <= eps**0.6) & ~(feasible & (problem.objective(x) > dearest))
        packed, error = jnp.where(done, packed, near), jnp.where(done, error, size)
        return packed, error, done | right

    packed = jnp.concatenate(start)
    never = start.x[0] != start.x[0]
    first = (packed, 0 * start.x[0] + jnp.inf, never)
    # A user's own optimiser is always run.
    begin = 0 if optimiser is None else 1
    packed, error, _ = jax.lax.fori_loop(begin, 2, attempt, first)
    return packed, error


@functools.cache
def _default_optimiser() -> optax.GradientTransformationExtraArgs:
    """Return L-BFGS directions, each tried at several lengths.

    `optax.lbfgs()` searches them by loops of its own, which `jax.shard_map` refuses. One
    object, so that compiled programs are found again.
    """
    import optax  # noqa: PLC0415 (slow to import)

    from scaling_jax.solve.trials import best_length  # noqa: PLC0415 (needs Optax)

    return optax.chain(optax.scale_by_lbfgs(), optax.scale(-1.0), best_length())
