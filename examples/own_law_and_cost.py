"""The general path: your own law and cost, a third decision variable, any optimiser.

How many bits should the weights be served in? Fewer bits serve cheaper, and act like fewer
parameters (the form of Kumar et al. 2024, arXiv 2411.04330; the numbers are illustrative).
"""

import jax
import jax.numpy as jnp
import optax

import scaling_jax as sj

jax.config.update("jax_enable_x64", True)
chinchilla = sj.laws.HOFFMANN_2022


def law(params, tokens, bits):
    return chinchilla(params * (1 - jnp.exp(-bits / 2.7)), tokens)


def cost(params, tokens, demand, bits):
    serve = 2 * params * demand.tokens * bits / 16
    return sj.Bill(train=6 * params * tokens, serve=serve)


demand = sj.Demand(output_tokens=2e12)
choices = {"bits": (2.0, 16.0)}
plan = sj.plan(law, cost, demand, loss=1.947, choices=choices)
print(f"{plan.params:.4g} params, {plan.tokens:.4g} tokens, {plan.choices['bits']:.2f} bits")

# Another optimiser finds the same optimum: Newton on the KKT system finishes both.
adam = sj.plan(law, cost, demand, loss=1.947, choices=choices, optimiser=optax.adam(3e-2))
print(f"by Adam: relative difference {abs(adam.params / plan.params - 1):.0e}")


# And it is differentiable: how do the best bits move with demand?
def best_bits(tokens):
    planned = sj.plan(law, cost, sj.Demand(output_tokens=tokens), loss=1.947, choices=choices)
    return planned.choices["bits"]


slope = jax.grad(best_bits)(2e12) * 2e12
print(f"d bits / d log(demand) = {slope:.3f}")
