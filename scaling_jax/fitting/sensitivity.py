"""From the loss of a run to the law, and through it to any decision: exact derivatives.

At the optimum the gradient of the objective is zero, so by the implicit function theorem

    d theta / d L_i = -(d^2 F / d theta^2)^-1  d^2 F / (d theta d L_i) .
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax._errors import Refusal
from scaling_jax._pytree import coefficients
from scaling_jax.fitting.descent import descend, is_final
from scaling_jax.fitting.objective import Data, residuals, value
from scaling_jax.fitting.problem import Problem, observations
from scaling_jax.fitting.records import Fit
from scaling_jax.laws import Law
from scaling_jax.solve import Status, dense, root


def refit(fitted: Fit, loss: Any, weight: Any = None) -> Law:
    """Return the law of the same runs with other losses and weights, differentiably.

    The descent starts at the fit's optimum, so the losses should be near its own. Forward
    and reverse mode and `jax.vmap` work, all orders too. The precision is the caller's: for
    trustworthy derivatives of a flat optimum use 64-bit, as `influence` does.

    Args:
        fitted: what `fit` returned.
        loss: one loss per run, [n].
        weight: one weight per run, [n]; those of the fit when None.

    Returns:
        The law; NaN in every coefficient where a loss is not positive, a weight negative,
        or the descent does not reach an optimum.
    """
    problem, theta = _plain(fitted)

    def solve(data: Data) -> jax.Array:
        delta = jnp.asarray(problem.delta, data.target.dtype)
        start = jnp.asarray(theta, data.target.dtype)
        sizes = jnp.abs(residuals(problem.objective, start, data))[: len(fitted.runs)]
        first = jnp.maximum(jnp.minimum(delta, 1.0), jnp.median(sizes))
        end = descend(problem.objective, start, data, delta, first)
        enough = jnp.sum(data.weight > 0) >= problem.chart.size
        least = -jnp.inf if problem.objective.residual == "log" else 0.0
        losses = jnp.all((data.target > least) & (data.target < jnp.inf))
        sound = losses & jnp.all(data.weight >= 0) & enough & is_final(end, data)
        return jnp.where(sound, end.theta, jnp.nan)

    return _law_at_root(problem, loss, weight, solve)


def _plain(fitted: Fit) -> tuple[Problem, np.ndarray]:
    """Return the problem and its optimum in plain units, in which a law is what it is."""
    with jax.enable_x64(True):
        return fitted.problem.plain(fitted.theta)


def _law_at_root(
    problem: Problem, loss: Any, weight: Any, solve: Callable[[Data], jax.Array]
) -> Law:
    count, residual = len(problem.runs), problem.objective.residual
    own = jax.tree.map(jnp.asarray, problem.data)
    if weight is not None:
        own = own._replace(weight=own.weight.at[:count].set(jnp.asarray(weight)))
    # A mean of the runs that count now: other weights, another mean.
    counted = own.weight[:count] > 0
    target, precision = observations(jnp.asarray(loss), problem.runs.sigma, counted, residual)
    own = own._replace(
        target=own.target.at[:count].set(target),
        precision=own.precision.at[:count].set(precision),
    )
    delta = jnp.asarray(problem.delta, own.target.dtype)

    def gradient(theta: jax.Array) -> jax.Array:
        return jax.grad(lambda t: value(problem.objective, t, own, delta))(theta)

    theta = root(gradient, lambda: solve(own), dense)
    return problem.chart.law(theta, own.points)


def influence(fitted: Fit, output: Callable[[Law], Any] = coefficients) -> Any:
    """Return d output(law) / d loss of each run, through the optimum of the fit.

    Args:
        fitted: what `fit` returned.
        output: any differentiable function of the law; the coefficients by name when left
            out. With `plan` inside, this is d (dollars) / d (loss of each run).

    Returns:
        What `output` returns, with every number an array over the runs, [..., n]. In the
        paper's objective a run farther than delta from the law only pulls, with a constant
        force, so that its influence is zero.

    Raises:
        ValueError: the fit has not converged, or an output or its derivative is not finite.

    Example:
        >>> from scaling_jax.fitting import fit
        >>> from scaling_jax.laws import HOFFMANN_2022
        >>> params = np.repeat([1e8, 1e9, 1e10], 3)
        >>> tokens = params * np.tile([10.0, 50.0, 250.0], 3)
        >>> loss = HOFFMANN_2022(params, tokens)
        >>> fitted = fit({"params": params, "tokens": tokens, "loss": loss})
        >>> influence(fitted, lambda law: law(70e9, 1.4e12)).shape
        (9,)
    """
    if fitted.status is not Status.CONVERGED:
        raise Refusal("the fit has not converged; only an optimum has an influence")
    with jax.enable_x64(True):
        problem, plain = _plain(fitted)
        theta = jnp.asarray(plain)  # the root is known

        def answer(loss: jax.Array) -> tuple[Any, Any]:
            value = output(_law_at_root(problem, loss, None, lambda _: theta))
            return value, value

        slopes, values = jax.jit(jax.jacrev(answer, has_aux=True))(
            jnp.asarray(fitted.runs.loss)
        )
        for what, tree in (("output", values), ("influence", slopes)):
            for path, leaf in jax.tree.leaves_with_path(tree):
                if not np.isfinite(leaf).all():
                    name = f"{what}{jax.tree_util.keystr(path)}"
                    raise Refusal(f"{name} is not finite at the fitted law")
        return jax.tree.map(np.asarray, slopes)
