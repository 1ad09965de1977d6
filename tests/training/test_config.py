"""Which runs can be made."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.training import ModelOptions, RunConfig
from tests.training.conftest import CONFIG, SHAPE


@pytest.mark.parametrize("kind", [np.int64, np.uint8, jnp.int32])
def test_whole_numbers_of_any_kind_become_pythons(kind):
    config = RunConfig(shape=SHAPE, tokens=kind(100), length=kind(4), seed=kind(3))
    assert type(config.tokens) is type(config.length) is type(config.seed) is int
    assert json.loads(json.dumps(config.to_dict()))["tokens"] == 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": 0}, "tokens is 0; it must be a positive integer"),
        ({"tokens": 1e4}, r"tokens is 10000\.0; it must be a positive integer"),
        ({"batch": 4, "accumulate": 3}, "accumulate must divide batch"),
        ({"seed": -1}, r"seed is -1; it must be an integer in \[0, 2\*\*31\)"),
        ({"seed": 5_000_000_000}, r"seed is 5000000000; it must be an integer in"),
        (
            {
                "shape": dataclasses.replace(SHAPE, d_model=12),
                "options": ModelOptions(positions="rotary"),
            },
            "d_model is 12 and heads 4, 3 numbers per head; rotary positions need an even",
        ),
    ],
)
def test_a_run_that_cannot_be_made_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(CONFIG, **change)
