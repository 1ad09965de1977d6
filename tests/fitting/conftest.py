import jax
import numpy as np
import pytest

from scaling_jax.laws import HOFFMANN_2022
from scaling_jax.runs import Runs, read_runs
from tests.conftest import DATA


def _read(name):
    if not DATA.exists():
        pytest.skip("the shared data are not here")
    return read_runs(DATA / name)


@pytest.fixture(scope="session")
def sardana():
    return _read("sardana2024_runs.csv")


@pytest.fixture(scope="session")
def epoch():
    """The 240 runs of the replication: less the five of highest loss."""
    runs = _read("epoch2024_chinchilla_runs.csv")
    return runs.where(np.sort(np.argsort(runs.loss)[:-5]))


@pytest.fixture(scope="session")
def gadre():
    return _read("gadre2024_c4_runs.csv")


@pytest.fixture
def planted():
    """Runs on a grid of six sizes and six ratios that follow a law, up to noise."""

    def make(law=HOFFMANN_2022, noise=0.0, seed=0, **columns):
        params = np.repeat(np.geomspace(5e7, 5e9, 6), 6)
        tokens = params * np.tile(np.geomspace(5, 500, 6), 6)
        params, tokens = columns.pop("params", params), columns.pop("tokens", tokens)
        with jax.enable_x64(True):
            loss = np.asarray(law(params, tokens), float)
        loss = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(loss)))
        return Runs(params=params, tokens=tokens, loss=loss, **columns)

    return make
