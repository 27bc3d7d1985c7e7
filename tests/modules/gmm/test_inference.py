"""What all ways to learn a mixture have in common: the answer, and the contract of a module."""

import io

import pytest
import torch

from pgmgraph import Categorical, Gaussian, ModelGraph, Observation, fit, infer
from pgmgraph_modules.gmm import GMM
from tests.modules.gmm.test_collapsed import Blurred
from tests.modules.gmm.test_gibbs import together_by_enumeration
from tests.modules.gmm.test_gmm import Chooser, under_a_parent
from tests.toys import blobs

torch.set_num_threads(1)

WAYS = {
    "vb": {"inference": "vb"},
    "moves": {"inference": "vb", "moves": 1},
    "gibbs": {"inference": "gibbs", "sweeps": 30},
    "svi": {"inference": "svi", "batch_size": 16},
}
OTHERS = [way for way in WAYS if way != "vb"]
FITTED = {"inference": "vb", "prior": "fitted"}


def mixture(way, x, k=3, missing=None, **options):
    data, gmm = Observation(x, missing=missing), GMM(k, starts=2, **{**WAYS.get(way, FITTED), **options})
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm


def overlapping():
    return 0.3 * blobs(60, 3, 2)[0]


def tensors(state):
    if isinstance(state, dict):
        return [tensor for value in state.values() for tensor in tensors(value)]
    return [torch.as_tensor(state)]


def same(one, other):
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    return bool(pairs) and all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_on_a_small_separate_problem_all_come_to_the_posterior_that_enumeration_gives(covariance):
    generator = torch.Generator().manual_seed(0)
    near = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    x = near + torch.tensor([[0.0, 0.0]] * 5 + [[12.0, 9.0]] * 3, dtype=torch.float64)
    found = {}
    for way in WAYS:
        options = {"passes": 20, "batch_size": 4} if way == "svi" else {}
        graph, gmm = mixture(way, x, k=2, scale=1.0, mean_precision=0.01, covariance=covariance, **options)
        result = fit(graph, rounds=20)
        together = result.beliefs["gmm.c"].probs @ result.beliefs["gmm.c"].probs.T
        moments = gmm.layout.moments(Gaussian(x, torch.zeros_like(x)))
        expected = together_by_enumeration(gmm.prior, moments, gmm.layout).fill_diagonal_(0.0)
        assert set(expected.round().flatten().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(together.fill_diagonal_(0.0), expected, rtol=0, atol=1e-5)
        order = gmm.means[:, 0].argsort()
        found[way] = gmm.weights[order], gmm.means[order], gmm.covariances[order]
    # With the partition certain, the posterior is conjugate: five items and three.
    weights, means, _ = found["vb"]
    torch.testing.assert_close(weights, torch.tensor([0.6, 0.4]).double(), rtol=0, atol=1e-6)
    prior_mean = x.mean(0)
    expected = torch.stack([(x[:5].sum(0) + 0.01 * prior_mean) / 5.01, (x[5:].sum(0) + 0.01 * prior_mean) / 3.01])
    torch.testing.assert_close(means, expected, rtol=0, atol=1e-4)
    for way in OTHERS:
        for one, other in zip(found[way], found["vb"], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5 if way != "svi" else 0.01)


@pytest.mark.parametrize("way", OTHERS)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(way):
    states = []
    for seed in (3, 3, 4):
        graph, gmm = mixture(way, overlapping())
        fit(graph, rounds=3, seed=seed)
        states.append(gmm.state_dict())
    assert same(states[0], states[1])
    if way != "moves":  # which may come to the same mixture by other proposals
        assert not same(states[0], states[2])


@pytest.mark.parametrize("way", [*OTHERS, "fitted prior"])
def test_rounds_in_two_calls_are_the_rounds_of_one(way):
    whole_graph, whole = mixture(way, overlapping())
    parts_graph, parts = mixture(way, overlapping())
    expected = fit(whole_graph, rounds=4)
    fit(parts_graph, rounds=2)
    result = fit(parts_graph, rounds=2)
    assert same(whole.state_dict(), parts.state_dict())
    assert result.history["F"] == expected.history["F"][2:]


@pytest.mark.parametrize("way", [*OTHERS, "fitted prior"])
def test_its_state_is_tensors_and_plain_values_and_brings_it_back(way):
    graph, gmm = mixture(way, overlapping())
    result = fit(graph, rounds=2)
    file = io.BytesIO()
    torch.save(gmm.state_dict(), file)
    file.seek(0)
    other_graph, other = mixture(way, overlapping())
    fit(other_graph, rounds=1, seed=9)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(other.state_dict(), gmm.state_dict())
    assert torch.equal(infer(other_graph)["gmm.c"].probs, result.beliefs["gmm.c"].probs)
    other.load_state_dict({})
    assert other.state_dict() == {}


@pytest.mark.parametrize("way", [*OTHERS, "fitted prior"])
def test_inference_is_pure_and_item_by_item(way):
    graph, gmm = mixture(way, overlapping())
    result = fit(graph, rounds=2)
    before = gmm.state_dict()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    probs = result.beliefs["gmm.c"].probs
    assert torch.equal(infer(graph)["gmm.c"].probs, probs)
    torch.testing.assert_close(infer(graph, {"data": overlapping()[order]})["gmm.c"].probs, probs[order])
    gmm.at_once = 7
    torch.testing.assert_close(infer(graph)["gmm.c"].probs, probs)
    assert same(before, gmm.state_dict())


@pytest.mark.parametrize("way", [*OTHERS, "fitted prior"])
def test_missing_rows_are_as_if_they_were_not_there(way):
    missing = torch.arange(60) % 4 == 0
    x = overlapping()
    holed = x.clone()
    holed[missing] = float("nan")
    graph, gmm = mixture(way, holed, missing=missing)
    short_graph, short = mixture(way, x[~missing])
    result, expected = fit(graph, rounds=2), fit(short_graph, rounds=2)
    torch.testing.assert_close(gmm.means, short.means)
    torch.testing.assert_close(result.beliefs["gmm.c"].probs[~missing], expected.beliefs["gmm.c"].probs)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-9)


@pytest.mark.parametrize("way", OTHERS)
def test_under_a_parent_each_takes_the_exact_step_on_its_belief(way):
    x, _ = blobs(60, 3, 2)
    _, expected, _ = under_a_parent(x, [0.2, 0.3, 0.5], rounds=4)
    _, gmm, result = under_a_parent(x, [0.2, 0.3, 0.5], rounds=4, **WAYS[way])
    assert (gmm.guarantee, gmm.passes, gmm.step_items, gmm.elbo_items) == ("exact", 2, None, None)
    assert torch.equal(gmm.means, expected.means)
    assert torch.equal(gmm.covariances, expected.covariances)
    c = result.beliefs["gmm.c"]
    sums = gmm.statistics(Gaussian(x, torch.zeros_like(x)), c)["sums"]
    torch.testing.assert_close(sums[:, 0], c.probs.sum(0))


@pytest.mark.parametrize("way", OTHERS)
def test_a_parent_may_come_later(way):
    x, _ = blobs(60, 3, 2)
    graph, gmm = mixture(way, x)
    fit(graph, rounds=2)
    chooser = Chooser([0.2, 0.3, 0.5])
    graph.add("chooser", chooser)
    graph.connect(gmm.c, chooser.c)
    result = fit(graph, rounds=4, strict=True)
    assert gmm.guarantee == "exact"
    assert isinstance(result.beliefs["gmm.c"], Categorical)
    counts = gmm.posterior.concentration - gmm.prior.concentration
    torch.testing.assert_close(counts, result.beliefs["gmm.c"].probs.sum(0), rtol=1e-3, atol=1e-3)


def collapsed(**options):
    x = 0.5 * blobs(120, 3, 2)[0]
    data, below, gmm = Observation(x), Blurred(0.5), GMM(3, starts=2, message="mixture", passes=10, **options)
    graph = ModelGraph(data=data, below=below, gmm=gmm)
    graph.connect(data.value, below.x)
    graph.connect(below.z, gmm.x)
    return gmm, fit(graph, rounds=20).history["F"][-1]


def test_stochastic_steps_learn_the_collapsed_bound_too():
    vb, exact = collapsed()
    whole, stochastic = collapsed(inference="svi", batch_size=120)
    assert stochastic == pytest.approx(exact, abs=1e-4)
    torch.testing.assert_close(whole.means, vb.means, rtol=0, atol=1e-3)
    # Minibatches see other draws of the beliefs than the plate does; antithetic ones, so that means agree.
    parts, _ = collapsed(inference="svi", batch_size=16)
    torch.testing.assert_close(parts.means, vb.means, rtol=0, atol=0.01)


@pytest.mark.parametrize("message", ["component", "mean"])
@pytest.mark.parametrize("way", OTHERS)
def test_with_older_messages_nothing_is_guaranteed(way, message):
    assert GMM(3, message=message, **WAYS[way]).guarantee == "none"


def test_each_way_declares_its_guarantee():
    guarantees = {way: GMM(3, **options).guarantee for way, options in WAYS.items()}
    assert guarantees == {"vb": "exact", "moves": "exact", "gibbs": "none", "svi": "stochastic"}
