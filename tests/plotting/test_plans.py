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


def plans(**axes):
    def evaluate(loss=2.0, inference_tokens=1e12):
        best = sj.plan(
            laws.HOFFMANN_2022, sj.Flops(), sj.Demand.of_tokens(inference_tokens), loss=loss
        )
        return {"params": best.params, "saving": best.saving}

    return sj.grid(evaluate, axes)


def test_a_grid_of_one_axis_is_a_line_and_of_two_a_map_with_units():
    line = plotting.scenarios(plans(inference_tokens="1e9:1e14:31:log"), "params")
    assert (line.get_xscale(), line.get_yscale()) == ("log", "linear")
    assert (line.get_xlabel(), line.get_ylabel()) == ("inference tokens", "parameters")
    result = plans(loss="1.6:3.0:29", inference_tokens="1e9:1e14:31:log")  # 1.6 has no plan
    drawn = plotting.scenarios(result, "params", mark={"loss": 2.0, "inference_tokens": 1e12})
    assert drawn.get_ylabel() == "loss (nats/token)"
    assert drawn.get_xlim() == (1e9, 1e14)
    assert len(drawn.texts) >= 4  # labels of contours
    assert plotting.all_scenarios(result).get_title() == "saving"


def test_a_map_that_is_the_same_everywhere_says_so():
    result = sj.grid(lambda x, y: x + y - x - y, {"x": [1.0, 2.0], "y": [1.0, 2.0]})
    (text,) = plotting.scenarios(result, "value").texts
    assert text.get_text() == "the same everywhere"


@pytest.mark.parametrize("axes", [{"loss": [2.0]}, {"a": [1, 2], "b": [1, 2], "c": [1, 2]}])
def test_what_is_no_picture_is_said(axes):
    result = sj.grid(lambda **point: sum(point.values()), axes)
    with pytest.raises(ValueError, match="a picture has one axis or two"):
        plotting.scenarios(result, "value")


def test_an_svg_stands_in_a_page_by_itself():
    element = plotting.svg(plotting.scenarios(plans(loss=[2.0, 2.2]), "saving"))
    assert element.startswith("<svg")
    assert element.rstrip().endswith("</svg>")
    assert '<g id="' not in element
