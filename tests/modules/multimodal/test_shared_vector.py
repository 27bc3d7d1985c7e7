"""A vector shared by several modalities: exact given its parameters, and better with more of them."""

import pytest
import torch

from pgmgraph import Gaussian, GaussianEvidence, GaussianPotential, ModelGraph, Observation, fit, generate, infer
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import FactorAnalysis
from pgmgraph_modules.multimodal import SharedVector
from tests.refusals import refused
from tests.toys import Noisy

torch.set_num_threads(1)
N = 80


def views(noise=0.3, n=N):
    """Two views of a shared vector, (n, 3) and (n, 4), each with a strong component of its own."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    z = draw(n, 1)
    left = z @ draw(1, 3) + 3 * draw(n, 1) @ draw(1, 3) + noise * draw(n, 3)
    right = z @ draw(1, 4) + 3 * draw(n, 1) @ draw(1, 4) + noise * draw(n, 4) + 5
    return z, left, right


def wired(shared, missing=None, **data):
    graph = ModelGraph(shared=shared)
    for key, values in data.items():
        graph.add(key, Observation(values, missing=None if missing is None else missing.get(key)))
        graph.connect(graph.observations[key].value, shared.x[key])
    return graph


def test_given_the_parameters_z_and_f_are_the_joint_normal_s():
    _, left, right = views(n=10)
    shared = SharedVector(2, passes=2)
    result = fit(wired(shared, left=left, right=right), rounds=3)
    loadings = torch.cat([shared.loadings(key) for key in ("left", "right")])
    noise = torch.block_diag(*(shared.noise_covariance(key) for key in ("left", "right")))
    mean = torch.cat([shared.mean(key) for key in ("left", "right")])
    values = torch.cat([left, right], 1)
    joint = torch.distributions.MultivariateNormal(mean, loadings @ loadings.T + noise)
    assert result.history["F"][-1] == pytest.approx(float(joint.log_prob(values).sum()), abs=1e-8)
    gain = loadings.T @ torch.linalg.inv(joint.covariance_matrix)
    belief = result.beliefs["shared.z"]
    torch.testing.assert_close(belief.mean, (values - mean) @ gain.T, rtol=0, atol=1e-10)
    torch.testing.assert_close(belief.variance[0], torch.eye(2).double() - gain @ loadings, rtol=0, atol=1e-10)


def test_f_never_falls_with_children_that_learn_a_parent_and_missing_views():
    _, left, right = views()
    missing = {"left": torch.arange(N) % 5 == 0, "right": torch.arange(N) % 7 == 1}
    shared, child, top = SharedVector(2, noise="diagonal"), Noisy(), GMM(2, starts=2)
    graph = ModelGraph(shared=shared, child=child, top=top)
    graph.add("left", Observation(left, missing=missing["left"]))
    graph.add("right", Observation(right, missing=missing["right"]))
    graph.connect(graph.observations["left"].value, child.y)
    graph.connect(child.z, shared.x["left"])
    graph.connect(graph.observations["right"].value, shared.x["right"])
    graph.connect(shared.z, top.x)
    bounds = fit(graph, rounds=50, strict=True).history["F"]
    assert bounds[-1] > bounds[0] + 1


def test_full_noise_finds_what_views_have_in_common_where_diagonal_noise_finds_their_own():
    z, left, right = views(n=1_000)
    match = {}
    for noise in ("full", "diagonal"):
        belief = fit(wired(SharedVector(1, noise=noise), left=left, right=right), rounds=60).beliefs["shared.z"]
        match[noise] = float(torch.corrcoef(torch.stack([belief.mean[:, 0], z[:, 0]]))[0, 1].abs())
    assert match["full"] > 0.8 > 0.6 > match["diagonal"]


def test_one_view_with_diagonal_noise_is_factor_analysis():
    _, left, _ = views()
    alone = fit(wired(SharedVector(1, noise="diagonal"), left=left), rounds=150).history["F"][-1]
    analysis = FactorAnalysis(1)
    graph = ModelGraph(data=Observation(left), analysis=analysis)
    graph.connect(graph.observations["data"].value, analysis.x)
    assert alone == pytest.approx(fit(graph, rounds=150).history["F"][-1], abs=1e-3)


def test_missing_views_are_left_out_and_predicted_from_the_others():
    _, left, right = views(noise=0.05)
    lost = {"right": torch.arange(N) >= N // 2}
    shared = SharedVector(2)
    graph = wired(shared, missing=lost, left=left, right=right)
    fit(graph, rounds=30)
    predicted = infer(graph, {"left": left}, predict=["right"])["right"].value
    away = (predicted - right).square().mean(0)
    assert (away < right.var(0)).all()


def test_views_that_are_missing_equal_rows_left_out():
    _, left, right = views()
    gone = torch.arange(N) % 4 == 0
    both = wired(SharedVector(1), missing={"left": gone, "right": gone}, left=left, right=right)
    short = wired(SharedVector(1), left=left[~gone], right=right[~gone])
    whole, few = fit(both, rounds=5), fit(short, rounds=5)
    assert whole.history["F"] == pytest.approx(few.history["F"], rel=1e-9)
    belief = whole.beliefs["shared.z"]
    assert torch.equal(belief.missing, gone)
    torch.testing.assert_close(belief.mean[~gone], few.beliefs["shared.z"].mean)


def test_evidence_from_above_multiplies_its_prior_and_a_potential_replaces_it():
    _, left, _ = views(n=5)
    shared = SharedVector(1)
    fit(wired(shared, left=left), rounds=2)
    x = {"left": Gaussian(left, torch.zeros_like(left))}
    plain = shared.send(x, None).messages["z"]
    shift, precision, scale = torch.ones(5, 1).double(), 2 * torch.ones(5, 1).double(), torch.zeros(5).double()
    assert isinstance(plain, Gaussian)
    sent = [shared.send(x, kind(shift, precision, scale)) for kind in (GaussianPotential, GaussianEvidence)]
    precisions = [1 / one.messages["z"].variance[:, 0, 0] for one in sent]
    torch.testing.assert_close(precisions[0], 1 / plain.variance[:, 0, 0] + 1)
    torch.testing.assert_close(precisions[1], 1 / plain.variance[:, 0, 0] + 2)


@pytest.mark.parametrize("values", [torch.ones(6, 2), torch.tensor([[1.0, 2.0]])], ids=["constant", "single item"])
@pytest.mark.parametrize("noise", ["full", "diagonal"])
def test_degenerate_data_give_finite_numbers(values, noise):
    result = fit(wired(SharedVector(3, noise=noise), left=values, right=2 * values), rounds=3, strict=True)
    assert all(bound is not None and abs(bound) < 1e6 for bound in result.history["F"])
    assert torch.isfinite(result.beliefs["shared.z"].mean).all()


def test_it_draws_views_that_go_together():
    _, left, right = views(noise=0.05)
    shared = SharedVector(2)
    graph = wired(shared, left=left, right=right)
    fit(graph, rounds=30)
    drawn = generate(graph, n=4_000)
    values = torch.cat([drawn["left"], drawn["right"]], 1)
    loadings = torch.cat([shared.loadings("left"), shared.loadings("right")])
    noise = torch.block_diag(shared.noise_covariance("left"), shared.noise_covariance("right"))
    expected = loadings @ loadings.T + noise
    scale = expected.diagonal().sqrt()
    error = (torch.cov(values.T) - expected) / (scale[:, None] * scale)
    assert error.abs().max() < 5 * (2 / 4_000) ** 0.5


def test_what_cannot_be_is_refused():
    with refused(ValueError, "latent_dim", "at least 1", "0"):
        SharedVector(0)
    with refused(ValueError, "noise", "full, diagonal", "'some'"):
        SharedVector(1, noise="some")
