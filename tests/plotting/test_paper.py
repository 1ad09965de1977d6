"""The paper's figures, from the data that they draw."""

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.runs import read_runs
from tests.conftest import DATA, needs_x64
from tests.support import approx

pytest.importorskip("matplotlib", reason="the plot extra is not installed")
pytestmark = needs_x64

from scaling_jax.plotting import paper, paper_plans, paper_runs  # noqa: E402

# Where the contours of Figure 2 leave the map: at loss 3.0 by their inference tokens, and at
# 1e14 tokens by their loss (paper.md, section 8); None where that is outside of the map.
COST = {
    1.01: (2.274e9, None),
    1.05: (6.312e9, None),
    1.1: (1.0525e10, None),
    1.25: (2.332e10, 1.8128),
    1.5: (4.934e10, 1.8419),
    2: (1.3031e11, 1.8899),
    3: (5.224e11, 1.9861),
    5: (5.644e12, 2.2707),
}
PARAMS = {
    0.99: (None, None),
    0.95: (None, None),
    0.9: (1.3128e9, None),
    0.75: (4.821e9, None),
    0.5: (2.576e10, 1.8163),
    0.33: (1.2505e11, 1.8876),
    0.25: (4.341e11, 1.9710),
    0.2: (1.5180e12, 2.0905),
}


def crossings(ax):
    """Return where each contour line of the picture leaves the map: above, and at the right."""
    (lines,) = (each for each in ax.collections if hasattr(each, "levels"))
    found = {}
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, y = path.vertices.T
        above, right = np.isclose(y, 3.0, rtol=1e-9), np.isclose(x, 1e14, rtol=1e-9)
        found[float(level)] = (
            float(x[above][0]) if above.any() else None,
            float(y[right][0]) if right.any() else None,
        )
    return found


def test_the_contours_of_figure_2_leave_the_map_where_they_should():
    cost, params, _ = paper_plans.ratio_maps(paper_plans.ratios_data(sj.Flops()), "FLOPs")
    for ax, expected in ((cost, COST), (params, PARAMS)):
        found = crossings(ax)
        assert set(found) == set(expected)
        for level, (tokens, loss) in expected.items():
            assert (found[level][0] is None) == (tokens is None), level
            assert (found[level][1] is None) == (loss is None), level
            if tokens is not None:
                assert found[level][0] == approx(tokens, rel=4e-4), level
            if loss is not None:
                assert found[level][1] == approx(loss, rel=5e-5), level


def test_figure_1_has_the_true_numbers():
    tables = paper_plans.figure1_data()
    models = tables["figure1c"]
    assert models["tokens"] == pytest.approx([576.5e9, 1.239e12], rel=5e-4)
    assert models["total_flops"] == pytest.approx([9.697e22, 8.005e22], rel=5e-4)
    totals = tables["figure1b"]
    lead = totals["total_flops_of_large"] - totals["total_flops_of_small"]
    assert np.interp(0, lead, totals["inference_tokens"]) == approx(590.3e9, rel=5e-4)
    for ax in paper_plans.figure1(tables):
        assert ax.get_ylabel()


def test_runs_without_scores_leave_out_what_needs_them():
    few = read_runs({"params": [1e8, 1e9], "tokens": [2e9, 2e10], "loss": [3.6, 2.9]})
    (panel,) = paper_runs.figure3(paper_runs.runs_data(few, {}))
    assert panel.get_xlabel() == "tokens per parameter"
    (text,) = paper_runs.figure4(paper_runs.figure4_data(few)).texts
    assert text.get_text() == "no ratio has three sizes"
    assert paper.left_out(few, {}) == (
        "Figures 3 (b) and (c) and 7 are left out: the runs have no column "
        "eval_gauntlet/core_average."
    )
    scores = dict.fromkeys((paper_runs.AVERAGE, *paper_runs.CATEGORIES[1:]), np.zeros(2))
    assert paper.left_out(few, scores) == (
        "Figure 7 is left out: the runs have no column eval_gauntlet/world_knowledge."
    )
    assert paper.left_out(None, {}) == (
        "Figures 3, 4, 5 and 7 are left out: they need training runs."
    )


def test_the_trends_of_figure_4_have_the_slopes_of_the_data():
    path = DATA / "sardana2024_runs.csv"
    if not path.exists():
        pytest.skip("the shared data are not here")
    columns = paper_runs.figure4_data(read_runs(path))
    slopes = {
        float(ratio): columns["slope"][columns["tokens_per_param"] == ratio][0]
        for ratio in np.unique(columns["tokens_per_param"])
    }
    expected = {10: -0.0457, 15: -0.0460, 20: -0.0475, 30: -0.0477, 50: -0.0467}
    expected |= {75: -0.0508, 100: -0.0483, 250: -0.0492, 500: -0.0514}
    assert slopes == pytest.approx(expected, abs=5.1e-5)
    assert paper_runs.figure4(columns).get_xscale() == "log"
