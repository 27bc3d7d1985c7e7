"""Data that break networks: F ends finite, or the VAE says that it diverged and is as it was before."""

import math

import pytest
import torch

from pgmgraph import ModelGraph, Observation, fit
from pgmgraph.errors import DataError, DivergedError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused

torch.set_num_threads(1)


def uniform(n, d, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed))


def learning(values, message="expected", **options):
    data, gmm = Observation(values), GMM(3, starts=2, message=message)
    vae = VAE(2, **{"hidden": (8,), "batch_size": 20, **options})
    graph = ModelGraph(data=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph, vae


def assert_finite(result):
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert bounds
    assert all(math.isfinite(bound) for bound in bounds)
    belief = result.beliefs["vae.z"]
    assert belief.mean.isfinite().all()
    assert (belief.variance > 0).all()


INTENSITIES = {
    "one item": uniform(1, 4),
    "fewer items than components": uniform(2, 4),
    "all zero": torch.zeros(30, 4),
    "all one": torch.ones(30, 4),
    "bytes, all zero": torch.zeros(30, 4, dtype=torch.uint8),
    "three rows, often": uniform(3, 4).repeat(10, 1),
    "one column": uniform(30, 1),
}


@pytest.mark.parametrize("message", ["expected", "mixture"])
@pytest.mark.parametrize("name", INTENSITIES)
def test_intensities(name, message):
    graph, _ = learning(INTENSITIES[name], message)
    assert_finite(fit(graph, rounds=3))


VECTORS = {
    "one item": uniform(1, 3),
    "a constant column": torch.cat([uniform(40, 2), torch.full((40, 1), 7.0)], 1),
    "on a line": uniform(40, 1) * torch.tensor([1.0, 2.0, -1.0]),
    "narrow": 1e-6 * uniform(40, 2),
    "below the smallest number of float32": 1e-100 * uniform(40, 2).double(),
    "integers": torch.arange(60).reshape(30, 2),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name):
    graph, _ = learning(VECTORS[name], likelihood="gaussian")
    assert_finite(fit(graph, rounds=3))


FAR = [(1.0, 1e6), (1e12, 0.0)]


@pytest.mark.filterwarnings("ignore:Encountered NaN")  # Pyro's own word for it
@pytest.mark.parametrize(("scale", "offset"), FAR)
def test_what_it_cannot_learn_is_refused(scale, offset):
    graph, _ = learning(scale * uniform(40, 2) + offset, likelihood="gaussian")
    with refused(DivergedError, "vae", "round 0", "look at the scale of the data") as caught:
        fit(graph)
    assert caught.value.module == "vae"


@pytest.mark.parametrize(("scale", "offset"), FAR)
def test_what_comes_later_and_cannot_be_learnt_leaves_no_trace(scale, offset):
    graph, vae = learning(uniform(40, 2), likelihood="gaussian")
    fit(graph)
    before = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    with refused(DivergedError, "vae", "vae is as it was before") as caught:
        fit(graph, {"data": scale * uniform(40, 2) + offset})
    assert caught.value.module == "vae"
    assert all(torch.equal(value, before[name]) for name, value in vae.encoder.state_dict().items())
    assert_finite(fit(graph))


def test_values_beyond_float32_are_refused_before_learning():
    graph, _ = learning(1e100 * uniform(40, 2).double(), likelihood="gaussian")
    with pytest.raises((DataError, DivergedError)):
        fit(graph)


def test_one_value_that_is_no_number_is_refused_by_its_row():
    graph, _ = learning(uniform(30, 4))
    broken = uniform(30, 4)
    broken[7, 1] = math.nan
    with refused(DataError, "observation 'data'", "1 of 30 rows: 7"):
        fit(graph, {"data": broken})
