import dataclasses

import jax
import jax.numpy as jnp
import pytest

from scaling_jax._pytree import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    Fraction,
    Number,
    Positive,
    Record,
    coefficients,
    domains,
    fields_with_domain,
    with_coefficients,
)


class Inner(Record):
    share: Fraction


class Outer(Record):
    size: Positive
    inner: Inner
    note: Number = 0.0


def outer(size=2.0, share=0.5) -> Outer:
    return Outer(size=size, inner=Inner(share=share))


def test_a_record_is_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        outer().size = 3.0  # pyright: ignore
    with pytest.raises(TypeError):
        Inner(0.5)  # pyright: ignore


def test_a_record_goes_through_jit_vmap_and_grad():
    def product(record: Outer) -> jax.Array:
        return jnp.asarray(record.size * record.inner.share)

    assert jax.jit(product)(outer()) == 1.0
    batch = Outer(size=jnp.arange(3.0), inner=Inner(share=jnp.ones(3)), note=jnp.zeros(3))
    assert jax.vmap(product)(batch).tolist() == [0, 1, 2]
    assert jax.grad(product)(outer()).inner.share == 2.0


def test_leaves_have_readable_paths():
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree.leaves_with_path(outer())
    ]
    assert paths == ["size", "inner.share", "note"]


def test_domains_are_found_in_nested_records():
    found = [(path, value, domain) for path, value, domain in fields_with_domain(outer(), "a")]
    assert found == [("a.size", 2.0, POSITIVE), ("a.inner.share", 0.5, FRACTION)]


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (POSITIVE, [1e-300, 1e300], [0.0, -1.0, float("inf"), float("nan")]),
        (NON_NEGATIVE, [0.0, 1e300], [-1e-300, float("inf"), float("nan")]),
        (FRACTION, [1e-300, 1.0], [0.0, 1.0000001, -0.5, float("nan")]),
    ],
)
def test_domains_never_accept_nan(domain, inside, outside):
    assert all(domain.contains(x) for x in inside)
    assert not any(domain.contains(x) for x in outside)


class Pair(Record):
    parts: tuple[Inner, ...]
    weights: tuple[Positive, ...]


def test_domains_are_found_in_tuples():
    pair = Pair(parts=(Inner(share=0.5), Inner(share=2.0)), weights=(1.0, -1.0))
    found = [
        (path, x) for path, x, domain in fields_with_domain(pair, "") if domain.contains(x)
    ]
    assert found == [("parts.0.share", 0.5), ("weights.0", 1.0)]
    assert coefficients(pair) == {
        "parts.0.share": 0.5,
        "parts.1.share": 2.0,
        "weights.0": 1.0,
        "weights.1": -1.0,
    }
    changed = with_coefficients(pair, {"parts.1.share": 0.25, "weights.1": 3.0})
    assert coefficients(changed)["parts.1.share"] == 0.25
    assert domains(changed)["weights.1"] is POSITIVE


def test_a_number_without_a_domain_is_any_finite_one():
    assert domains(outer())["note"] is REAL


@pytest.mark.parametrize("domain", [POSITIVE, NON_NEGATIVE, FRACTION, REAL])
def test_a_domain_maps_to_the_real_line_and_back(domain):
    inside = [0.25, 0.75]
    assert [float(domain.from_real(domain.to_real(x))) for x in inside] == pytest.approx(
        inside, rel=1e-6
    )
    assert all(domain.contains(domain.from_real(t)) for t in (-3.0, 0.0 + 1e-3, 2.0))
    assert POSITIVE.between(0.1, 3.0).typical == (0.1, 3.0)


def test_a_record_defined_in_a_function_with_postponed_annotations():
    code = """
from __future__ import annotations
def make():
    from scaling_jax import Law, Positive
    class Own(Law):
        A: Positive
        def loss(self, params, tokens):
            return self.A / (params * tokens) ** 0.05
    return Own(A=-1.0)
"""
    scope: dict = {"__name__": __name__}
    exec(code, scope)
    ((path, value, domain),) = fields_with_domain(scope["make"](), "law")
    assert (path, value, domain) == ("law.A", -1.0, POSITIVE)


def test_an_unknown_annotation_is_told():
    class Odd(Record):
        A: "Positve"  # noqa: F821 # pyright: ignore

    with pytest.raises(TypeError, match=r"Odd has an annotation that is not known.*Positve"):
        list(fields_with_domain(Odd(A=1.0), ""))
