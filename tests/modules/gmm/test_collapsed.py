"""The mixture with its component summed out: a tighter bound, learnt from draws, and refused where c has a parent."""

import itertools

import pytest
import torch

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    In,
    MixturePotential,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    fit,
    generate,
    infer,
)
from pgmgraph.errors import MessageTypeError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.gmm.samples import BeliefSamples
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import blobs, intensities

torch.set_num_threads(1)


class Blurred(Module):
    """Holds a vector that is its observation with a known variance; takes any message from above, learns nothing."""

    x = In(Point)
    z = Out(Gaussian, back=(GaussianPotential, MixturePotential))
    dtype = torch.float64
    amortised = True

    def __init__(self, variance=1.0):
        self.variance = variance

    def event_shapes(self, x):
        return {"z": x}

    def send(self, x, z):
        return Outbox(z=Gaussian(x.value, torch.full_like(x.value, self.variance)))

    def elbo(self, x, z):
        return {"H[z]": z.entropy()}


def blurred(x, variance=1.0, k=3, missing=None, **options):
    data, below, gmm = Observation(x, missing=missing), Blurred(variance), GMM(k, **options)
    graph = ModelGraph(data=data, below=below, gmm=gmm)
    graph.connect(data.value, below.x)
    graph.connect(below.z, gmm.x)
    return graph, gmm


def rises(result):
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    return all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(bounds))


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("seed", range(5))
def test_f_never_falls(covariance, seed):
    x, _ = blobs(150, 4, 2, seed=seed)
    graph, _ = blurred(x, variance=2.0, k=4, covariance=covariance, message="mixture", starts=1)
    result = fit(graph, rounds=40, seed=seed, strict=True)
    assert rises(result)
    assert result.trace[-1].F > result.trace[2].F


def total(terms):
    return float(sum(term.sum() for term in terms.values()))


def overlapping():
    """Two clusters at -3 and 3, seen through a noise that leaves each item in doubt."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-3.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    return centres.repeat(100, 1) + 0.5 * torch.randn(200, 2, generator=generator, dtype=torch.float64)


def in_mean_field(x, variance, posterior):
    """A mean-field mixture with the given parameters, and its belief about c."""
    graph, gmm = blurred(x, variance=variance, k=2, starts=1)
    fit(graph, rounds=1)
    gmm.load_state_dict(posterior.state_dict())
    return gmm, infer(graph)["gmm.c"]


def test_it_is_tighter_than_the_mean_field_bound_at_the_same_parameters():
    x = overlapping()
    graph, gmm = blurred(x, variance=3.0, k=2, message="mixture", draws=64)
    z = fit(graph, rounds=30).beliefs["below.z"]
    mean_field, c = in_mean_field(x, 3.0, gmm)
    assert total(gmm.elbo(z, c)) > total(mean_field.elbo(z, c)) + 10


def test_the_term_is_the_mean_over_draws_of_the_message_that_is_sent():
    x, _ = blobs(100, 3, 2)
    graph, gmm = blurred(x + 50, variance=3.0, message="mixture", draws=8)
    fit(graph, rounds=5)
    beliefs = infer(graph)
    z, c = beliefs["below.z"], beliefs["gmm.c"]
    drawn = BeliefSamples(8, 2, torch.device("cpu")).draw(z).mean.unflatten(0, (8, 100))
    message = gmm.send(z, None).messages["x"]
    assert isinstance(message, MixturePotential)
    torch.testing.assert_close(gmm.elbo(z, c)["log p(x)"], message.value(drawn).mean(0), rtol=1e-9, atol=1e-9)


def test_without_variance_it_is_the_mean_field_bound_at_its_best_responsibilities():
    x, _ = blobs(60, 3, 2)
    bounds = {}
    for message in ("expected", "mixture"):
        data, gmm = Observation(x), GMM(3, message=message)
        graph = ModelGraph(data=data, gmm=gmm)
        graph.connect(data.value, gmm.x)
        bounds[message] = fit(graph, rounds=4).history["F"]
    assert bounds["mixture"] == pytest.approx(bounds["expected"], rel=1e-12)


def test_the_mean_field_step_would_lower_it():
    # Why the mixture learns from draws: the closed form's fixed point is not that of the collapsed bound.
    x = overlapping()
    graph, gmm = blurred(x, variance=3.0, k=2, message="mixture", draws=64)
    z = fit(graph, rounds=60).beliefs["below.z"]
    mean_field, c = in_mean_field(x, 3.0, gmm)
    before = total(gmm.elbo(z, c))
    mean_field.learn(mean_field.statistics(z, None))
    gmm.load_state_dict(mean_field.state_dict())
    assert total(gmm.elbo(z, c)) < before - 1e-6 * abs(before)


def test_f_is_comparable_while_beliefs_move():
    # With the noise fixed, F moves as smoothly as the beliefs: a small step of them changes it by little.
    x, _ = blobs(60, 3, 2)
    graph, gmm = blurred(x, variance=2.0, message="mixture")
    z = fit(graph, rounds=3).beliefs["below.z"]
    c = infer(graph)["gmm.c"]
    values = [total(gmm.elbo(Gaussian(z.mean + step, z.variance), c)) for step in (0.0, 1e-6, 2e-6)]
    assert values[1] - values[0] == pytest.approx(values[2] - values[1], rel=1e-3)


def test_missing_rows_stay_out():
    x, _ = blobs(60, 3, 2)
    missing = torch.zeros(60, dtype=torch.bool)
    missing[::6] = True
    graph, gmm = blurred(x, missing=missing, message="mixture")
    result = fit(graph, rounds=3, strict=True)
    assert torch.equal(result.beliefs["gmm.c"].missing_rows(), missing)
    total = gmm.posterior.concentration.sum() - gmm.prior.concentration.sum()
    assert float(total) == pytest.approx(50)


def test_a_vae_learns_under_it():
    x = intensities(120, 8)
    data, vae, gmm = Observation(x), VAE(2, hidden=(16,), batch_size=20, epochs=2), GMM(3, message="mixture")
    graph = ModelGraph(data=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    result = fit(graph, rounds=15)
    assert result.history["F"][-1] > result.history["F"][0]
    assert set(result.trace[-1].terms["gmm"]) == {"log p(x)", "-KL components", "-KL weights"}
    assert set(result.trace[-1].terms["vae"]) == {"log p(x)", "H[z]"}
    assert generate(graph, {"gmm.c": 1}, n=3)["data"].shape == (3, 8)
    assert isinstance(infer(graph, {"data": x[:5]})["gmm.c"], Categorical)


class Above(Module):
    c = In(CategoricalPotential, back=Categorical)

    def __init__(self):
        pass

    def send(self, c):
        return Outbox(c=Categorical(torch.softmax(c.log_weights, 1)))


def test_it_is_refused_where_c_has_a_parent():
    x, _ = blobs(20, 3, 2)
    graph, gmm = blurred(x, message="mixture")
    above = Above()
    graph.add("above", above)
    graph.connect(gmm.c, above.c)
    with refused(WiringError, "gmm", "message='mixture'", "no parent can hold c", "message='expected'"):
        fit(graph, rounds=1)


class GaussianOnly(Blurred):
    z = Out(Gaussian, back=GaussianPotential)


def test_it_is_refused_by_a_child_that_cannot_take_it():
    below, gmm = GaussianOnly(), GMM(3, message="mixture")
    graph = ModelGraph(below=below, gmm=gmm)
    with refused(MessageTypeError, "GaussianPotential back at below.z", "MixturePotential from gmm.x"):
        graph.connect(below.z, gmm.x)


def test_an_odd_number_of_draws_is_refused():
    with pytest.raises(ValueError, match="an even number of at least 2; got 3"):
        GMM(3, draws=3)
