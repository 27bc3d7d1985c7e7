"""The mixture: its messages are derivatives of its bound, and its bound is what Pyro says and evidence allows."""

import itertools
import math

import numpy as np
import pyro
import pytest
import torch
from scipy.special import gammaln, logsumexp

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    In,
    ModelGraph,
    Module,
    Observation,
    Outbox,
    PooledGaussianPotential,
    Scores,
    fit,
    generate,
    infer,
)
from pgmgraph_modules.gmm import GMM

torch.set_num_threads(1)


def blobs(n=120, k=3, d=2, seed=0, spread=6.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % k
    centres = torch.randn(k, d, generator=generator, dtype=torch.float64) * spread
    return centres[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64), labels


def fitted(x, k=3, rounds=3, seed=0, missing=None, **options):
    data, gmm = Observation(x, missing=missing), GMM(k, **options)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm, fit(graph, rounds=rounds, seed=seed, strict=True)


def random_belief(n, d, full, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, d, generator=generator, dtype=torch.float64) * 3
    root = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(d, dtype=torch.float64)
    return Gaussian(mean, covariance if full else covariance.diagonal(dim1=1, dim2=2).contiguous())


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("full_belief", [True, False])
def test_message_to_x_is_the_derivative_of_the_expected_log_factor(covariance, full_belief):
    x, _ = blobs()
    _, gmm, _ = fitted(x, covariance=covariance)
    belief = random_belief(5, 2, full_belief)
    outbox = gmm.send(belief, None)
    message, c = outbox.messages["x"], outbox.messages["c"]
    assert isinstance(message, PooledGaussianPotential)
    potential = message.dense()
    precision = potential.precision if covariance == "full" else potential.precision.diag_embed()

    def own(mean, variance):
        return gmm.elbo(Gaussian(mean, variance), c)["log p(x|c)"]

    # The term is quadratic in the mean and linear in the variance: central differences are exact.
    step = 1e-3
    for i in range(2):
        up, down = belief.mean.clone(), belief.mean.clone()
        up[:, i] += step
        down[:, i] -= step
        by_mean = (own(up, belief.variance) - own(down, belief.variance)) / (2 * step)
        natural = potential.shift[:, i] - (precision[:, i] * belief.mean).sum(1)
        torch.testing.assert_close(by_mean, natural, rtol=1e-6, atol=1e-6)
        wider = belief.variance.clone()
        if full_belief:
            wider[:, i, i] += step
        else:
            wider[:, i] += step
        by_variance = (own(belief.mean, wider) - own(belief.mean, belief.variance)) / step
        torch.testing.assert_close(by_variance, -0.5 * precision[:, i, i], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_scalar_makes_the_expectation_of_the_message_the_expected_log_factor(covariance):
    x, _ = blobs()
    _, gmm, _ = fitted(x + 50.0, covariance=covariance)
    belief = random_belief(6, 2, True)
    outbox = gmm.send(belief, None)
    message, c = outbox.messages["x"], outbox.messages["c"]
    expected = gmm.elbo(belief, c)["log p(x|c)"]
    torch.testing.assert_close(message.expectation(belief), expected, rtol=1e-9, atol=1e-8)


class Chooser(Module):
    """A parent that holds c with a fixed table; stands in for an HMM or a topic model."""

    c = In(CategoricalPotential, back=Categorical)
    guarantee = "exact"
    dtype = torch.float64

    def __init__(self, probs):
        self.probs = torch.tensor(probs, dtype=torch.float64)

    def event_shapes(self, c):
        return {"c": (len(self.probs),)}

    def send(self, c):
        return Outbox(c=Categorical(torch.softmax(c.log_weights + self.probs.log(), 1)))

    def elbo(self, c):
        return {"log p(c)": c.probs @ self.probs.log(), "H[c]": c.entropy()}


def under_a_parent(x, probs, rounds=20, **options):
    data, gmm, chooser = Observation(x), GMM(len(probs), **options), Chooser(probs)
    graph = ModelGraph(data=data, gmm=gmm, chooser=chooser)
    graph.connect(data.value, gmm.x)
    graph.connect(gmm.c, chooser.c)
    return graph, gmm, fit(graph, rounds=rounds, strict=True)


def test_message_to_c_holds_the_likelihood_alone():
    x, _ = blobs()
    _, gmm, result = under_a_parent(x, [0.2, 0.3, 0.5])
    message = gmm.send(Gaussian(x, torch.zeros_like(x)), result.beliefs["gmm.c"]).messages["c"]
    assert isinstance(message, CategoricalPotential)
    for k in range(3):
        certain = torch.zeros(len(x), 3, dtype=torch.float64)
        certain[:, k] = 1.0
        own = gmm.elbo(Gaussian(x, torch.zeros_like(x)), Categorical(certain))
        torch.testing.assert_close(message.log_weights[:, k], own["log p(x|c)"])
        assert set(own) == {"log p(x|c)", "-KL components"}, "p(c) and H[c] belong to the parent"


def test_f_under_a_parent_never_falls_and_holds_each_factor_once():
    x, _ = blobs(n=60)
    _, _, result = under_a_parent(x, [0.2, 0.3, 0.5])
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(bounds))
    assert set(result.trace[-1].terms["chooser"]) == {"log p(c)", "H[c]"}


@pytest.mark.filterwarnings("ignore:Singular sample detected")  # torch's, where a draw is nearly singular
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_bound_equals_pyros_estimate_of_the_same_model_and_guide(covariance):
    x, _ = blobs(n=12, k=2, spread=2.0)
    _, gmm, result = fitted(x, covariance=covariance, concentration=2.0)
    c, belief = result.beliefs["gmm.c"], Gaussian(x, torch.full_like(x, 0.2))
    own = sum(float(term.sum()) for term in gmm.elbo(belief, c).values())
    estimator = pyro.infer.Trace_ELBO(num_particles=2_000, vectorize_particles=True, max_plate_nesting=1)
    pyro.set_rng_seed(0)
    draws = [-estimator.loss(lambda: gmm.model(12), lambda: gmm.guide(belief, c)) for _ in range(12)]
    estimates = torch.tensor(draws, dtype=torch.float64) - float(belief.entropy().sum())
    error = float(estimates.std()) / math.sqrt(len(draws))
    assert error < 0.1
    assert abs(float(estimates.mean()) - own) < 5 * error


def log_evidence(x, k, *prior):
    """By enumeration of all assignments, D = 1; the prior as `assigned_log_evidence` takes it."""
    assignments = itertools.product(range(k), repeat=len(x))
    return logsumexp([assigned_log_evidence(x, np.array(one), k, *prior) for one in assignments])


def assigned_log_evidence(x, chosen, k, concentration, mean_precision, freedom, scale, centre):
    """Of values and the component of each: Dirichlet-multinomial times normal-inverse-gamma evidences."""

    def of_members(values):
        n = len(values)
        if n == 0:
            return 0.0
        beta, nu = mean_precision + n, freedom + n
        first = values - centre
        mean = first.sum() / beta
        inverse_scale = scale + (first**2).sum() - beta * mean**2
        return (
            -0.5 * n * math.log(math.pi)
            + 0.5 * (math.log(mean_precision) - math.log(beta))
            + 0.5 * (freedom * math.log(scale) - nu * math.log(inverse_scale))
            + gammaln(nu / 2)
            - gammaln(freedom / 2)
        )

    counts = np.bincount(chosen, minlength=k)
    prior = gammaln(k * concentration) - gammaln(k * concentration + len(x))
    prior += (gammaln(concentration + counts) - gammaln(concentration)).sum()
    return prior + sum(of_members(x[chosen == component]) for component in range(k))


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("seed", range(5))
def test_f_stays_below_the_enumerated_log_evidence(covariance, seed):
    x = torch.randn(7, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    _, _, result = fitted(x, k=2, seed=seed, rounds=10, covariance=covariance)
    values = x[:, 0].numpy()
    evidence = log_evidence(values, 2, 1.0, 1.0, 3.0, values.var(), values.mean())
    bounds = [entry.F for entry in result.trace]
    assert max(bounds) < evidence
    assert evidence - bounds[-1] < 5.0, "a bound, and not a hollow one"


def test_evidence_of_one_component_is_met_exactly():
    # With one component nothing is left to approximate but mean and precision, whose posterior is exact.
    x = torch.randn(9, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, _, result = fitted(x, k=1)
    values = x[:, 0].numpy()
    evidence = log_evidence(values, 1, 1.0, 1.0, 3.0, values.var(), values.mean())
    assert result.history["F"][-1] == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("at_once", [1, 7, 119])
def test_one_minibatch_or_many_come_to_the_same(covariance, at_once):
    x, _ = blobs()
    whole_graph, whole, _ = fitted(x, covariance=covariance)
    pieces_graph, pieces, _ = fitted(x, covariance=covariance)
    pieces.at_once = at_once
    for graph in (whole_graph, pieces_graph):
        fit(graph, rounds=3, seed=1)
    torch.testing.assert_close(pieces.means, whole.means, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(pieces.covariances, whole.covariances, rtol=1e-10, atol=1e-10)


def test_a_permuted_plate_gives_the_permuted_result():
    x, _ = blobs(n=150, k=4)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    _, gmm, result = fitted(x, k=4)
    _, permuted, permuted_result = fitted(x[order], k=4)
    torch.testing.assert_close(permuted.means, gmm.means, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        permuted_result.beliefs["gmm.c"].probs, result.beliefs["gmm.c"].probs[order], rtol=1e-8, atol=1e-8
    )


def test_variance_of_a_belief_enters_as_if_the_values_were_spread():
    # Two points at m - s and m + s have the moments of one belief with mean m and variance s^2, twice.
    m = torch.tensor([[0.0], [1.0], [8.0], [9.5]], dtype=torch.float64)
    s = torch.tensor([[0.5], [0.2], [0.3], [0.4]], dtype=torch.float64)
    _, gmm, _ = fitted(m, k=2)
    whole = gmm.statistics(Gaussian(m, s.square()), Categorical(torch.eye(2, dtype=torch.float64).repeat(2, 1)))
    c = Categorical(torch.eye(2, dtype=torch.float64).repeat(4, 1))
    spread = gmm.statistics(Gaussian(torch.cat([m - s, m + s]), torch.zeros(8, 1, dtype=torch.float64)), c)
    torch.testing.assert_close(spread["sums"], 2 * whole["sums"])


def test_missing_rows_are_as_if_they_were_not_there():
    x, _ = blobs()
    missing = torch.zeros(len(x), dtype=torch.bool)
    missing[::4] = True
    holed = x.clone()
    holed[missing] = float("nan")
    _, gmm, result = fitted(holed, missing=missing)
    _, without, expected = fitted(x[~missing])
    torch.testing.assert_close(gmm.means, without.means, rtol=1e-12, atol=1e-12)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-12)
    belief = result.beliefs["gmm.c"]
    assert torch.equal(belief.missing, missing)
    torch.testing.assert_close(belief.probs[~missing], expected.beliefs["gmm.c"].probs)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_784_dimensions_do_not_overflow(covariance):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    x = torch.randn(60, 784, generator=generator) * 100 + 500.0 * labels[:, None]
    _, _, result = fitted(x, k=2, covariance=covariance, rounds=2, starts=2)
    assert all(math.isfinite(bound) for bound in result.history["F"])
    assert len(set((result.beliefs["gmm.c"].most_probable() + labels).remainder(2).tolist())) == 1


def test_an_empty_component_comes_back():
    near, _ = blobs(n=80, k=2, d=2, seed=5, spread=1.0)
    graph, gmm, _ = fitted(near, k=6, rounds=40)
    assert float(gmm.weights.min()) < 0.02, "six components for two clusters: some are empty"
    far = torch.cat([near, near.mean(0) + torch.tensor([60.0, 0.0]) + torch.randn(80, 2)])
    result = fit(graph, {"data": far}, rounds=30)
    clusters = result.beliefs["gmm.c"].most_probable()
    assert len(set(clusters[80:].tolist())) == 1
    assert not set(clusters[80:].tolist()) & set(clusters[:80].tolist())


def test_several_starts_are_never_worse_than_one():
    x, _ = blobs(n=200, k=8, spread=3.0, seed=7)
    bounds = [fitted(x, k=8, starts=starts, rounds=1)[2].history["F"][0] for starts in (1, 10)]
    assert bounds[1] >= bounds[0]


@pytest.mark.parametrize("message", ["component", "mean"])
def test_older_messages_are_normal_densities_of_the_most_probable_component(message):
    x, _ = blobs()
    _, gmm, _ = fitted(x, message=message)
    assert gmm.guarantee == "none"
    outbox = gmm.send(Gaussian(x, torch.zeros_like(x)), None)
    k = outbox.messages["c"].most_probable()
    covariance = (
        gmm.covariances[k] if message == "component" else torch.eye(2, dtype=torch.float64).expand(len(x), 2, 2)
    )
    density = torch.distributions.MultivariateNormal(gmm.means[k], covariance)
    point = x + 0.3
    value = outbox.messages["x"].expectation(Gaussian(point, torch.zeros_like(x)))
    torch.testing.assert_close(value, density.log_prob(point))


def test_generate_draws_from_the_clamped_component():
    x, _ = blobs(n=600, k=3)
    graph, gmm, _ = fitted(x)
    for k in range(3):
        drawn = generate(graph, {"gmm.c": k}, n=4_000)["data"]
        torch.testing.assert_close(drawn.mean(0), gmm.means[k], rtol=0, atol=0.15)
        torch.testing.assert_close(torch.cov(drawn.T), gmm.covariances[k], rtol=0.15, atol=0.15)


def test_scores_and_inference_of_held_out_data():
    x, labels = blobs(n=300)
    data, gmm = Observation(x[:200]), GMM(3)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    result = fit(graph, rounds=3, callbacks=[Scores(gmm.c, labels[:200])])
    assert result.history["accuracy"][-1] == 1.0
    held = infer(graph, {"data": x[200:]})["gmm.c"].most_probable()
    seen = result.beliefs["gmm.c"].most_probable()
    names = {int(label): int(seen[labels[:200] == label][0]) for label in range(3)}
    assert [names[int(label)] for label in labels[200:]] == held.tolist()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"components": 0}, "components of at least 1; got 0"),
        ({"components": 3, "starts": 0}, "starts of at least 1; got 0"),
        ({"components": 3, "concentration": 0.0}, "positive concentration; got 0.0"),
        ({"components": 3, "scale": float("nan")}, "positive scale; got nan"),
        ({"components": 3, "covariance": "spherical"}, "covariance as one of full, diagonal; got 'spherical'"),
        ({"components": 3, "inference": "em"}, "inference as one of vb, gibbs, svi; got 'em'"),
        ({"components": 3, "inference": "gibbs", "sweeps": 0}, "sweeps of at least 1; got 0"),
        ({"components": 3, "inference": "svi", "batch_size": 0}, "batch_size of at least 1; got 0"),
        ({"components": 3, "inference": "svi", "delay": 0.5}, "delay of at least 1; got 0.5"),
        ({"components": 3, "inference": "svi", "delay": float("nan")}, "delay of at least 1; got nan"),
        ({"components": 3, "inference": "svi", "forgetting": 0.5}, "forgetting above 0.5 and at most 1; got 0.5"),
        ({"components": 3, "moves": -1}, "moves of 0, or more with inference='vb'; got -1"),
        ({"components": 3, "moves": 2, "inference": "svi"}, "with inference='vb'; got 2 with 'svi'"),
        ({"components": 3, "inference": "gibbs", "message": "mixture"}, "leaves nothing to draw; got 'gibbs'"),
        ({"components": 3, "message": "sample"}, "message as one of expected, component, mean, mixture; got 'sample'"),
    ],
)
def test_impossible_arguments_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        GMM(**options)
