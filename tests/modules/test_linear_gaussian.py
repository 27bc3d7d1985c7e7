"""PPCA and factor analysis: the evidence and the posterior in closed form, messages as derivatives, exact ascent."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn import decomposition
from torch.distributions import MultivariateNormal

from pgmgraph import Gaussian, ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.errors import ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA, FactorAnalysis
from tests.refusals import refused
from tests.toys import Noisy

torch.set_num_threads(1)

BOTH = pytest.mark.parametrize("kind", [PPCA, FactorAnalysis])


def vectors(n=120, columns=6, latent_dim=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    centres = 4 * draw(3, latent_dim)
    z = centres[torch.arange(n) % 3] + draw(n, latent_dim)
    noise = torch.linspace(0.3, 1.2, columns, dtype=torch.float64) * draw(n, columns)
    return z @ draw(latent_dim, columns) + 5 * draw(columns) + noise


def alone(module, x, missing=None):
    data = Observation(x, missing=missing)
    graph = ModelGraph(data=data, module=module)
    graph.connect(data.value, module.x)
    return graph


def under_a_mixture(module, x, backward=True, missing=None):
    graph, gmm = alone(module, x, missing), GMM(3, starts=2)
    graph.add("gmm", gmm)
    graph.connect(module.z, gmm.x, backward=backward)
    return graph


def over_vectors(module, x):
    """The module explains the latent vectors of another one."""
    data, noisy = Observation(x), Noisy(0.5)
    graph = ModelGraph(data=data, noisy=noisy, module=module)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, module.x)
    return graph, noisy


def normal(module, extra=0.0):
    covariance = module.loadings @ module.loadings.T + module.noise_variances.diag()
    return MultivariateNormal(module.mean, covariance + extra * torch.eye(len(covariance)))


def never_falls(result):
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    return all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))


@BOTH
def test_alone_its_f_is_the_evidence_and_its_belief_the_posterior(kind):
    x, module = vectors(), kind(2, passes=1)
    graph = alone(module, x)
    for _ in range(4):
        result = fit(graph, rounds=1, strict=True)
        assert result.history["F"][-1] == pytest.approx(float(normal(module).log_prob(x).sum()), abs=1e-8)
        # q(z) by conditioning the joint normal of (z, x).
        gain = torch.linalg.solve(normal(module).covariance_matrix, module.loadings).T
        belief = result.beliefs["module.z"]
        torch.testing.assert_close(belief.mean, (x - module.mean) @ gain.T, rtol=0, atol=1e-10)
        covariance = torch.eye(2, dtype=torch.float64) - gain @ module.loadings
        torch.testing.assert_close(belief.variance, covariance.expand(len(x), -1, -1), rtol=0, atol=1e-10)


def test_ppca_starts_at_the_maximum_of_its_likelihood_that_sklearn_has():
    x, unseen = vectors(250).split([200, 50])
    module = PPCA(2)
    fit(alone(module, x), rounds=1)
    reference = decomposition.PCA(2).fit(x.numpy())
    # scikit-learn divides by N - 1, and so its covariance is N / (N - 1) times that of the maximum likelihood.
    covariance = torch.from_numpy(reference.get_covariance()) * (len(x) - 1) / len(x)
    torch.testing.assert_close(normal(module).covariance_matrix, covariance)
    expected = MultivariateNormal(x.mean(0), covariance).log_prob(unseen).mean()
    assert float(normal(module).log_prob(unseen).mean()) == pytest.approx(float(expected), abs=1e-6)


def test_factor_analysis_converges_to_what_sklearn_finds():
    x, unseen = vectors(250).split([200, 50])
    module = FactorAnalysis(2, passes=1_500)
    fit(alone(module, x), rounds=3, strict=True)
    reference = decomposition.FactorAnalysis(2, tol=1e-12, max_iter=10_000, svd_method="lapack").fit(x.numpy())
    score = float(normal(module).log_prob(unseen).mean())
    assert score == pytest.approx(reference.score(unseen.numpy()), abs=1e-6)


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_f_never_falls_in_fifty_rounds_under_a_mixture(kind, seed):
    result = fit(under_a_mixture(kind(2, passes=1), vectors(seed=seed)), rounds=50, seed=seed, strict=True)
    assert never_falls(result)
    assert result.history["F"][-1] > result.history["F"][0] + 1


@BOTH
def test_f_never_falls_over_the_vectors_of_another_module_nor_passes_the_evidence(kind):
    x, module = vectors(), kind(2, passes=1)
    graph, noisy = over_vectors(module, x)
    for _ in range(25):
        result = fit(graph, rounds=2, strict=True)
        assert never_falls(result)
        evidence = float(normal(module, extra=0.5).log_prob(x - noisy.shift).sum())
        assert result.history["F"][-1] < evidence


@BOTH
def test_its_message_to_x_is_the_derivative_of_its_terms(kind):
    x, module = vectors(20), kind(2)
    graph, _ = over_vectors(module, x)
    fit(graph, rounds=2)
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(7, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    variance = torch.rand(7, 6, generator=generator, dtype=torch.float64).requires_grad_()
    below = Gaussian(mean, variance)
    sent = module.send(Gaussian(mean.detach(), variance.detach()), None).messages
    terms = module.elbo(below, sent["z"])["log p(x|z)"]
    terms.sum().backward()
    torch.testing.assert_close(variance.grad, -0.5 * sent["x"].precision, rtol=0, atol=1e-10)
    torch.testing.assert_close(mean.grad, sent["x"].shift - sent["x"].precision * mean.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(sent["x"].expectation(below), terms, rtol=0, atol=1e-9)


@BOTH
def test_a_variance_below_counts_whether_full_or_diagonal(kind):
    x, module = vectors(20), kind(2)
    graph, _ = over_vectors(module, x)
    fit(graph, rounds=1)
    variance = torch.full_like(x, 0.3)
    z = module.send(Point(x), None).messages["z"]
    certain = module.elbo(Point(x), z)["log p(x|z)"]
    for one in (variance, variance.diag_embed()):
        loss = certain - module.elbo(Gaussian(x, one), z)["log p(x|z)"]
        torch.testing.assert_close(loss, (0.15 / module.noise_variances).sum().expand(20))


@BOTH
def test_rows_that_are_missing_are_as_if_they_were_not_there(kind):
    x = vectors()
    missing = torch.arange(len(x)) % 4 == 1
    holed = x.clone()
    holed[missing] = torch.nan
    result = fit(under_a_mixture(one := kind(2), holed, missing=missing), rounds=5)
    expected = fit(under_a_mixture(other := kind(2), x[~missing]), rounds=5)
    assert result.history["F"] == pytest.approx(expected.history["F"], abs=1e-8)
    torch.testing.assert_close(one.loadings, other.loadings)
    torch.testing.assert_close(result.beliefs["module.z"].mean[~missing], expected.beliefs["module.z"].mean)
    assert torch.equal(result.beliefs["module.z"].missing, missing)


@BOTH
def test_neither_the_order_of_rows_nor_minibatches_change_what_it_learns(kind):
    x = vectors()
    fit(alone(straight := kind(2), x), rounds=3)
    fit(alone(mixed := kind(2), x[torch.randperm(len(x), generator=torch.Generator().manual_seed(1))]), rounds=3)
    torch.testing.assert_close(normal(mixed).covariance_matrix, normal(straight).covariance_matrix)
    cut = kind(2)
    graph = alone(cut, x)
    fit(graph, rounds=1)
    cut.at_once = 7
    fit(graph, rounds=2)
    torch.testing.assert_close(cut.loadings, straight.loadings)


POOR = {
    "one item": vectors(1),
    "fewer items than dimensions": vectors(2),
    "all one value": torch.full((30, 4), 2.5),
    "a constant column": torch.cat([vectors(40), torch.full((40, 1), 7.0)], 1),
    "on a line": torch.linspace(-1, 1, 30)[:, None] * torch.tensor([1.0, 2.0, -1.0]),
    "narrow": 1e-8 * vectors(40),
    "far away": vectors(40) + 1e9,
    "one column": vectors(40, columns=1),
}


@BOTH
@pytest.mark.parametrize("name", POOR)
@pytest.mark.parametrize("latent_dim", [1, 5])
def test_poor_data_end_finite_and_f_never_falls(kind, name, latent_dim):
    graph = under_a_mixture(module := kind(latent_dim, passes=2), POOR[name])
    result = fit(graph, rounds=10, strict=True)
    assert all(np.isfinite([bound for bound in result.history["F"] if bound is not None]))
    assert (module.noise_variances > 0).all()
    assert result.beliefs["module.z"].mean.isfinite().all()


def test_it_takes_images_predicts_and_draws_them():
    images = vectors(80).reshape(80, 2, 3)
    module = FactorAnalysis(2)
    graph = alone(module, images)
    fit(graph, rounds=5)
    seen = infer(graph, predict=["data"])["data"].value
    assert seen.shape == images.shape
    assert float((seen - images).square().mean()) < float(module.noise_variances.mean())
    drawn = generate(graph, n=20_000)
    values = drawn["data"].flatten(1)
    model = normal(module)
    torch.testing.assert_close(values.mean(0), model.mean, rtol=0, atol=0.15)
    torch.testing.assert_close(values.T.cov(), model.covariance_matrix, rtol=0.1, atol=0.3)
    cold = generate(graph, n=20_000, temperature=0.25)["data"].flatten(1)
    torch.testing.assert_close(cold.T.cov(), 0.25 * model.covariance_matrix, rtol=0.1, atol=0.1)
    assert torch.equal(generate(graph, n=2, temperature=0)["data"].flatten(1), model.mean.expand(2, -1))


@BOTH
def test_arguments_that_make_no_sense_are_refused(kind):
    with refused(ValueError, "latent_dim of at least 1", "got 0"):
        kind(0)
    with refused(ValueError, "passes of at least 1", "got 0"):
        kind(2, passes=0)


@BOTH
def test_numbers_are_no_vectors(kind):
    with refused(ShapeError, "vectors or arrays", "values[:, None]"):
        alone(kind(1), vectors(9)[:, 0]).check()
