"""The two searches: cutting planes on convex functions, grids on any."""

import numpy as np
import pytest

from scaling_jax.deciding import cutting, zooming
from tests.conftest import needs_x64
from tests.support import approx

pytestmark = needs_x64


def kinked(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|x - 1| + 3 |x - 2 y|: the minimum 0 at (1, 1/2) is a kink in every direction."""
    first, second = x[:, 0] - 1, x[:, 0] - 2 * x[:, 1]
    gradient = np.stack([np.sign(first) + 3 * np.sign(second), -6 * np.sign(second)], axis=1)
    return np.abs(first) + 3 * np.abs(second), gradient


@pytest.mark.parametrize("corner", [(-3.0, -2.0), (-40.0, 7.0)])
def test_cutting_planes_end_at_a_kink_even_outside_of_the_box(corner):
    low = np.array([corner])
    (found,) = cutting.minimise(kinked, low, low + 5.0, 1e-10)
    assert found.gap <= 1e-10
    assert found.value == approx(0.0, abs=1e-10)
    np.testing.assert_allclose(found.x, [1.0, 0.5], atol=1e-9)


def test_cutting_planes_in_one_variable_side_by_side():
    centres = np.array([[0.1], [0.7], [1.0]])

    def evaluate(x):
        return np.cosh(x - centres)[:, 0], np.sinh(x - centres)

    found = cutting.minimise(evaluate, np.zeros((3, 1)), np.ones((3, 1)), 1e-14)
    np.testing.assert_allclose([each.x for each in found], centres, atol=1e-6)


def test_a_box_does_not_grow_beyond_its_cap():
    low = np.array([[-3.0, -2.0]])
    cap = np.array([0.25, np.inf])
    (found,) = cutting.minimise(kinked, low, low + 1.0, 1e-10, cap)
    assert found.value == approx(0.75, rel=1e-9)
    np.testing.assert_allclose(found.x, [0.25, 0.125], atol=1e-9)


def zoomed(function, low, high, cap=None):
    low, high = np.atleast_2d(low).astype(float), np.atleast_2d(high).astype(float)
    cap = np.full(low.shape[1], np.inf) if cap is None else np.asarray(cap)
    return zooming.minimise(
        function, low, high, cap=cap, tolerance=1e-13, extra=np.zeros((0, low.shape[1]))
    )


def test_zooming_finds_the_lowest_of_several_minima():
    found = zoomed(lambda x: (0.1 * x**2 + np.cos(3 * x))[..., 0], [0.5], [9.0])
    x = np.linspace(0.5, 9, 1_000_001)
    assert found.value[0] == approx((0.1 * x**2 + np.cos(3 * x)).min(), rel=1e-9)


def test_zooming_looks_beyond_a_box_with_its_best_point_at_an_edge():
    found = zoomed(lambda x: ((x - 30) ** 2)[..., 0], [0.0], [1.0])
    assert found.x[0, 0] == approx(30.0, rel=1e-6)


def test_zooming_ends_at_the_lower_side_of_a_jump():
    found = zoomed(lambda x: (np.where(x > 1 / 3, 2.0, 0.0) - x)[..., 0], [-0.3], [0.7])
    assert found.x[0, 0] == approx(1 / 3, rel=1e-12)
    assert found.x[0, 0] <= 1 / 3


def test_zooming_in_two_variables_at_a_slanted_kink_and_at_a_cap():
    def function(x):
        return np.abs(x[..., 0] - 1) + 3 * np.abs(x[..., 0] - 2 * x[..., 1])

    found = zoomed(function, [-1.0, -1.0], [0.0, 0.0])
    assert found.value[0] == approx(0.0, abs=1e-9)
    found = zoomed(function, [-1.0, -1.0], [0.0, 0.0], cap=[np.inf, 0.2])
    assert found.value[0] == approx(0.6, rel=1e-9)


def test_zooming_side_by_side_is_zooming_one_by_one():
    centres = np.array([[0.1, 0.3], [0.7, -0.2], [1.4, 0.0]])
    found = zoomed(
        lambda x: np.sum(np.cosh(x - centres), axis=-1), np.zeros((3, 2)), np.ones((3, 2))
    )
    np.testing.assert_allclose(found.x, centres, atol=1e-6)


def test_zooming_looks_for_values_where_its_box_has_none():
    found = zoomed(lambda x: np.where(x > 5, x, np.inf)[..., 0], [0.0], [1.0])
    assert found.value[0] == approx(5.0, rel=1e-9)
