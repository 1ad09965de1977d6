"""Who reads which axis, and what is said where names do not fit."""

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax._axes import Axes, call_cost, call_law, check_axes, cost_axes, law_axes

BASE = laws.HOFFMANN_2022
REPEATED = laws.MUENNIGHOFF_2023


class Precise(sj.Law):
    """A modifier of one's own: fewer bits count as fewer parameters."""

    base: sj.Law
    gamma: sj.Positive

    def loss(self, params, tokens, *, serve_bits=16.0, **axes):
        return call_law(self.base, params * (1 - 2.0**-serve_bits), tokens, **axes)


def test_axes_are_read_off_signatures():
    assert law_axes(BASE) == Axes()
    assert law_axes(REPEATED) == Axes(required=("unique_tokens",))
    assert law_axes(lambda n, d, bits, samples=1: 2.0) == Axes(("bits",), ("samples",))
    assert cost_axes(lambda n, d, demand, *, chips: None) == Axes(required=("chips",))
    assert cost_axes(sj.Flops()) == Axes()
    assert law_axes(lambda *anything, **axes: 2.0).open


def test_a_nested_law_reads_what_its_parts_read():
    assert law_axes(Precise(base=BASE, gamma=1.0)) == Axes(optional=("serve_bits",))
    nested = Precise(base=REPEATED, gamma=1.0)
    assert law_axes(nested) == Axes(("unique_tokens",), ("serve_bits",))
    mixed = sj.Mixture(laws=(nested, BASE), weights=(1.0, 1.0))
    assert law_axes(mixed) == law_axes(nested)


def test_each_part_is_given_what_it_reads():
    nested = Precise(base=REPEATED, gamma=1.0)
    mixed = sj.Mixture(laws=(nested, BASE), weights=(1.0, 3.0))
    given = {"unique_tokens": 25e9, "serve_bits": 4.0}
    alone = REPEATED(6e9 * (1 - 2.0**-4), 2e11, unique_tokens=25e9)
    expected = (alone + 3 * BASE(6e9, 2e11)) / 4
    np.testing.assert_allclose(call_law(mixed, 6e9, 2e11, other=1.0, **given), expected, 1e-6)
    assert call_cost(sj.Flops(), 1e9, 1e10, sj.Demand(), **given).total == 6e19


def test_unknown_and_missing_axes_are_named():
    def cost(params, tokens, demand, *, chips):
        return sj.Bill(train=params * tokens * chips, serve=0.0)

    check_axes(REPEATED, cost, {"unique_tokens": 1.0, "chips": 2.0})
    with pytest.raises(
        ValueError, match="the law needs the axis 'unique_tokens', which is not"
    ):
        check_axes(REPEATED, cost, {"chips": 2.0})
    with pytest.raises(ValueError, match="the cost needs the axis 'chips'"):
        check_axes(BASE, cost, {})
    with pytest.raises(ValueError, match=r"reads the axis 'chip'; they read chips$"):
        check_axes(BASE, cost, {"chips": 2.0, "chip": 1.0})
    with pytest.raises(ValueError, match="reads the axis 'bits'; they read none"):
        check_axes(BASE, sj.Flops(), {"bits": 2.0})
