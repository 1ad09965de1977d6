"""Which runs can be made."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling_jax.training import RECIPES, ModelOptions, Recipe, RunConfig
from scaling_jax.training.config import difference, with_defaults
from scaling_jax.training.recipe import transformation
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


def test_a_configuration_of_an_older_version_is_filled_up():
    """A field that it lacks, at any depth, had its default then: what differs is told."""
    saved = CONFIG.to_dict()
    del saved["accumulate"], saved["options"], saved["shape"]["gated"], saved["recipe"]["clip"]
    assert difference(CONFIG.to_dict(), with_defaults(saved, CONFIG)) is None
    for change in ({"accumulate": 2}, {"recipe": dataclasses.replace(CONFIG.recipe, clip=2.0)}):
        other = dataclasses.replace(CONFIG, **change)
        assert difference(other.to_dict(), with_defaults(saved, other)) is not None
    newer = saved | {"dropout": 0.1}  # by a version that knew more
    assert (
        difference(CONFIG.to_dict(), with_defaults(newer, CONFIG)) == "dropout is None, was 0.1"
    )


def test_the_work_of_a_run_has_one_home():
    work = CONFIG.work()
    assert work.tokens == CONFIG.steps * CONFIG.batch * CONFIG.length
    assert work.train_flops == 6 * SHAPE.params * work.tokens
    assert work.exact_train_flops == SHAPE.train_flops(64, causal=False) * work.tokens
    assert CONFIG.work(steps=2).tokens == 2 * CONFIG.step_tokens


def momentum(rate):
    return optax.sgd(rate, momentum=0.9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", momentum])
def test_any_optimizer_of_optax_or_ones_own_will_do(optimizer):
    recipe = Recipe(name="mine", optimizer=optimizer, peak_times_d_model=0.1)
    config = dataclasses.replace(CONFIG, recipe=recipe)
    named = json.loads(json.dumps(config.to_dict()))["recipe"]["optimizer"]
    assert named in ("sgd", "adam", "tests.training.test_config.momentum")
    parameters = {"w": jnp.ones(3, jnp.float32)}
    update = transformation(recipe, config.schedule)
    with jax.numpy_dtype_promotion("standard"):  # as the loop does: Optax's Adam is not strict
        step, _ = update.update(parameters, update.init(parameters), parameters)
    assert jnp.all(step["w"] < 0)
    assert hash(recipe) == hash(dataclasses.replace(recipe))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": "sdg"}, "optimizer is 'sdg'; it must be an optimizer of Optax by name"),
        ({"optimizer": "scale"}, "optimizer is 'scale'; it must be an optimizer of Optax"),
        ({"optimizer": "sgd"}, r"b1 is 0\.9; the optimizer sgd takes none, so leave it out"),
    ],
)
def test_an_optimizer_that_is_none_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(RECIPES["sardana"], **change)
