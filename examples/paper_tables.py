"""Tables 2 and 3 of the paper (arXiv 2401.00448), printed beside ours."""

import jax

import scaling_jax as sj

jax.config.update("jax_enable_x64", True)
law = sj.laws.HOFFMANN_2022

# Inference tokens, size of the Chinchilla-style model, then what the paper prints: optimal
# params, tokens, cost and reduction, in FLOPs (Table 2) and in dollars (Table 3).
ROWS = (
    (50e9, 1e9, ("633M", "46.8B", "2.41e20", "9.1%"), ("327M", "152B", "$1.89K", "50%")),
    (200e9, 7e9, ("5.4B", "367B", "1.40e22", "2.6%"), ("2.90B", "929B", "$81.8K", "34%")),
    (1e12, 13e9, ("8.32B", "967B", "6.49e22", "8.5%"), ("4.30B", "3.1T", "$500K", "49%")),
    (5e12, 30e9, ("16.4B", "3.27T", "4.86e23", "16%"), ("8.58B", "12.1T", "$4.52M", "58%")),
    (10e12, 70e9, ("41.6B", "7.92T", "2.81e24", "12%"), ("21.5B", "27T", "$23.8M", "54%")),
)


def dollars(serve_factor: float) -> sj.Dollars:
    """The paper's setting, with the price of serving multiplied."""
    return sj.Dollars(
        train=sj.TrainFleet.of("A100-80GB", "bf16", mfu=0.5),
        serve=sj.ServeFleet.of(
            "A100-40GB",
            "int8",
            dollars_per_hour=1.10 * serve_factor,
            prefill_mfu=0.5,
            decode_mfu=0.01,
        ),
    )


def show(title: str, cost: sj.LinearCost, printed: int) -> None:
    heads = f"{'quality':>8}{'params':>12}{'tokens':>12}{'cost':>12}{'saving':>9}   paper"
    print(f"\n{title}\n{heads}")
    for tokens, size, *paper in ROWS:
        best = law.compute_optimal(params=size)
        loss = law(best.params, best.tokens)
        plan = sj.plan(law, cost, sj.Demand.of_requests(tokens / 285), loss=loss)
        ours = (
            f"{plan.params:12.4g}{plan.tokens:12.4g}{plan.total_cost:12.4g}{plan.saving:9.2%}"
        )
        print(f"{size / 1e9:7.0f}B{ours}   {'  '.join(paper[printed])}")


show("Table 2: FLOPs", sj.Flops(), 0)
show(
    "Table 3: dollars at the stated prices (the paper's figures do not follow)", dollars(1.0), 1
)
show("Table 3 with serving at 0.897 of its stated price (fitted by us)", dollars(0.897), 1)
