"""N* and D* against a 50-digit oracle over 20,480 scenarios."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from tests.planning.oracle import optimum

SETS = {
    "hoffmann2022": laws.HOFFMANN_2022,
    "besiroglu2024": laws.BESIROGLU_2024,
    "sardana2024-100": laws.SARDANA_2024_100,
    "sardana2024-all": laws.SARDANA_2024_ALL,
}
SCENARIOS = 640


@pytest.mark.parametrize("shard", range(8))
@pytest.mark.parametrize("name", SETS)
def test_optimum_against_the_oracle(name, shard, rtol, float_dtype):
    rng = np.random.default_rng(shard)
    # Every number is rounded to the dtype first: the oracle then solves the same scenario.
    law = jax.tree.map(lambda x: np.asarray(x, float_dtype), SETS[name])
    sizes = (10 ** rng.uniform(5, 14, SCENARIOS)).astype(float_dtype)
    demand = (10 ** rng.uniform(3, 18, SCENARIOS)).astype(float_dtype)
    demand[::16] = 0.0
    best = law.compute_optimal(params=sizes)
    loss = np.asarray(law(best.params, best.tokens), float_dtype)
    plan = jax.jit(
        jax.vmap(lambda x, d: sj.plan(law, sj.Flops(), sj.Demand(output_tokens=d), loss=x))
    )(loss, demand)
    assert plan.params.dtype == float_dtype
    assert not np.any(plan.status)
    values = {name: float(value) for name, value in vars(law).items()}
    exact = [optimum(values, float(a), float(b)) for a, b in zip(loss, demand, strict=True)]
    params, tokens = np.array(exact).T
    assert np.max(np.abs(np.asarray(plan.params, float) / params - 1)) < rtol
    assert np.max(np.abs(np.asarray(plan.tokens, float) / tokens - 1)) < rtol
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(plan))
