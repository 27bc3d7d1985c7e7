"""Natural-gradient steps on minibatches: what a step is, and that they come to the answer of the closed form."""

import copy
import functools
import itertools
import math

import pytest
import torch

from pgmgraph import Context, Gaussian, ModelGraph, Observation, fit
from pgmgraph.executors import Call, worker
from pgmgraph.plates import Parcel
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.gmm.stochastic import Stochastic
from tests.modules.gmm.test_posterior import fitted as fitted_posterior
from tests.toys import blobs

torch.set_num_threads(1)


@pytest.mark.parametrize(("delay", "forgetting"), [(1.0, 0.7), (10.0, 1.0)])
def test_step_t_goes_its_share_of_the_way_to_the_posterior_of_the_minibatch(delay, forgetting):
    posterior, prior, moments, layout = fitted_posterior()
    way = Stochastic(1, 20, delay, forgetting)
    for t in range(3):
        total = way.statistics(moments, posterior, layout)
        share = (t + delay) ** -forgetting
        expected = posterior.blended(prior.updated(total["sums"], layout), share)
        posterior = way.learn(total, posterior, prior, layout)
        for name, tensor in expected.state().items():
            torch.testing.assert_close(posterior.state()[name], tensor)
    assert way.state() == {"steps": 3}


def mixture(x, k, **options):
    data, gmm = Observation(x), GMM(k, starts=1, **options)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm


def put_elsewhere(gmm, x):
    """Put a mixture far from its answer: every component at the middle, none of them alike."""
    moments = gmm.layout.moments(Gaussian(x, torch.zeros_like(x)))
    generator = torch.Generator().manual_seed(1)
    logits = 0.5 * torch.randn(gmm.components, len(x), generator=generator, dtype=torch.float64)
    logits += (gmm.means - x.mean(0)) @ (x - x.mean(0)).T / x.var(0).sum()
    gmm.posterior = gmm.prior.updated(torch.softmax(logits, 0) @ moments.T, gmm.layout)


def learnt_from_elsewhere(covariance, rounds, seed=0, **options):
    x, _ = blobs(300, 3, 2)
    graph, gmm = mixture(x, 3, covariance=covariance, **options)
    fit(graph, rounds=1)
    put_elsewhere(gmm, x)
    return gmm, fit(graph, rounds=rounds, seed=seed).history["F"]


@functools.cache
def closed_form(covariance):
    return learnt_from_elsewhere(covariance, rounds=40)


@pytest.mark.parametrize(
    ("covariance", "batch_size", "seed"),
    [
        ("full", 20, 0),
        ("full", 50, 0),
        ("full", 50, 1),
        ("full", 299, 2),
        ("full", 10_000, 0),
        ("diagonal", 50, 0),
        ("diagonal", 300, 0),
    ],
)
def test_from_the_same_start_it_comes_to_the_answer_of_the_closed_form(covariance, batch_size, seed):
    steps = math.ceil(300 / batch_size)
    gmm, bounds = learnt_from_elsewhere(  # about a thousand steps, whatever their size
        covariance, rounds=20, seed=seed, inference="svi", batch_size=batch_size, passes=math.ceil(50 / steps)
    )
    expected, exact = closed_form(covariance)
    assert bounds[0] < exact[-1] - 0.3, "it has a way to go"
    # The posterior's own standard deviation is 0.1 for a mean and 0.03 for a weight: a tenth of it.
    torch.testing.assert_close(gmm.means, expected.means, rtol=0, atol=0.01)
    torch.testing.assert_close(gmm.weights, expected.weights, rtol=0, atol=0.003)
    torch.testing.assert_close(gmm.covariances, expected.covariances, rtol=0.02, atol=0.02)
    assert abs(bounds[-1] - exact[-1]) < 0.02


def test_steps_on_the_whole_plate_never_lower_f():
    x, _ = blobs(120, 3, 2)
    graph, gmm = mixture(0.3 * x, 3, inference="svi", batch_size=120, passes=1)
    fit(graph, rounds=1)
    put_elsewhere(gmm, 0.3 * x)
    bounds = fit(graph, rounds=60).history["F"]
    assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(bounds))
    assert bounds[-1] > bounds[0] + 10


def test_what_is_forgotten_follows_beliefs_that_have_moved():
    x, _ = blobs(200, 2, 2)
    graph, gmm = mixture(x, 2, inference="svi", batch_size=20, forgetting=0.6)
    fit(graph, rounds=10)
    before = gmm.means
    fit(graph, {"data": x + 3.0}, rounds=20)
    torch.testing.assert_close(gmm.means, before + 3.0, rtol=0, atol=0.3)


def test_f_is_taken_on_a_part_of_large_plates_and_is_no_exact_term(monkeypatch):
    x, _ = blobs(200, 3, 2)
    graph, gmm = mixture(x, 3, inference="svi", batch_size=50)
    assert gmm.guarantee == "stochastic"
    assert gmm.elbo_items == 65_536
    whole = fit(graph, rounds=1).trace[-1]
    assert whole.standard_error == 0.0
    monkeypatch.setattr(Stochastic, "elbo_items", 80)
    part = fit(graph, rounds=1).trace[-1]
    assert part.standard_error > 0
    assert abs(part.F - whole.F) < 5 * part.standard_error


def set_up(**options):
    gmm = GMM(3, starts=1, inference="svi", batch_size=16, **options)
    shapes = {"x": (2,), "c": (3,)}
    gmm.setup(Context("gmm", shapes, frozenset({"x"}), frozenset({"c"}), torch.device("cpu"), gmm.dtype, 0))
    return gmm


def test_a_state_that_is_loaded_goes_on_bit_for_bit_and_counts_its_steps():
    x, _ = blobs(60, 3, 2)
    mail = {"x": Parcel(Gaussian(0.3 * x, torch.zeros_like(x)), Gaussian), "c": None}
    whole, other = set_up(), set_up()
    for number in range(4):
        if number == 2:
            worker.update(other, Call("gmm", mail, seed=77))  # a past of its own, of other length
            other.load_state_dict(copy.deepcopy(whole.state_dict()))
        worker.update(whole, Call("gmm", mail, seed=number))
        if number >= 2:
            worker.update(other, Call("gmm", mail, seed=number))
    assert whole.state_dict()["inference"] == {"steps": 4 * 2 * 4}  # updates, passes, steps that cover 60 by 16
    assert other.state_dict()["inference"] == whole.state_dict()["inference"]
    for name, tensor in whole.posterior.state().items():
        assert torch.equal(other.posterior.state()[name], tensor)
