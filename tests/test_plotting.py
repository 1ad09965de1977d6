import pytest

import scaling_jax as sj
from scaling_jax import laws, plotting
from tests.support import approx

pytest.importorskip("matplotlib", reason="the plot extra is not installed")


def test_the_curve_touches_the_plan_and_the_baseline(tmp_path):
    demand = sj.Demand(output_tokens=2e12)
    plan = sj.plan(laws.HOFFMANN_2022, sj.Flops(), demand, loss=1.947)
    axes = plotting.iso_loss(laws.HOFFMANN_2022, sj.Flops(), demand, plan)
    total, _, marked, base = axes.get_lines()
    lowest = total.get_ydata().min()
    assert lowest == approx(plan.total_cost, rel=1e-4)
    assert marked.get_ydata()[0] == approx(plan.total_cost, rel=1e-5)
    assert base.get_xdata()[0] == approx(plan.baseline.params, rel=1e-5)
    plotting.save(axes, tmp_path / "plan.svg")
    assert (tmp_path / "plan.svg").read_text().startswith("<?xml")


def test_a_given_axes_is_drawn_into():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    demand = sj.Demand(output_tokens=2e12)
    plan = sj.plan(laws.HOFFMANN_2022, sj.Flops(), demand, loss=1.947)
    assert plotting.iso_loss(laws.HOFFMANN_2022, sj.Flops(), demand, plan, axes) is axes
