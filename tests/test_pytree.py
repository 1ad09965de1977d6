import dataclasses

import jax
import jax.numpy as jnp
import pytest

from scaling_jax._pytree import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    Fraction,
    Number,
    Positive,
    Record,
    fields_with_domain,
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
