import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.solve.implicit import eliminate
from tests.conftest import needs_x64


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_a_small_system_is_solved_to_rounding(size):
    rng = np.random.default_rng(size)
    matrix, x = rng.normal(size=(500, size, size)), rng.normal(size=(500, size))
    matrix *= 10 ** rng.uniform(-9, 9, (500, size, 1))
    right = np.einsum("bij,bj->bi", matrix, x)
    got = jax.jit(jax.vmap(eliminate))(matrix, right)
    worst = np.linalg.cond(matrix / np.abs(matrix).max(2, keepdims=True))
    eps = jnp.finfo(got.dtype).eps
    assert np.all(np.abs(got - x).max(1) <= 200 * eps * worst * np.abs(x).max(1))


@needs_x64
def test_rows_that_tie_for_the_pivot_are_exchanged_whole():
    # The largest entries of both rows stand in one column, and each is 1 once scaled. A
    # compiler that rounds one of them twice in two ways exchanged half of a row: the step was
    # zero, and 58 of these scenarios ended as NOT_CONVERGED.
    def cost(params, tokens, demand):
        serve = 2 * params * demand.tokens * (1 + params / 1e11)
        return sj.Bill(train=6 * params * tokens, serve=serve)

    rng = np.random.default_rng(0)
    losses, tokens = rng.uniform(1.8, 2.6, 20_000), 10 ** rng.uniform(9, 14.5, 20_000)
    demand = sj.Demand(output_tokens=tokens)
    plan = sj.plan(sj.laws.HOFFMANN_2022, cost, demand, loss=losses)
    assert not np.any(plan.status)
