"""Steps of variational Bayes."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.gmm.posterior import Posterior, step
from tests.modules.gmm.test_starts import laid_out, prior


def test_a_step_never_lowers_the_bound():
    torch.manual_seed(0)
    x = torch.randn(80, 3, dtype=torch.float64) * torch.tensor([3.0, 1.0, 0.2])
    layout, moments = laid_out(x)
    start = torch.softmax(torch.randn(80, 4, dtype=torch.float64) * 3, 1)
    posterior, last = prior(4, 3).updated(start.T @ moments.T, layout), -float("inf")
    for _ in range(60):
        posterior, bound = step(posterior, prior(4, 3), moments, layout)
        assert bound >= last - 1e-9 * abs(bound)
        last = bound


def test_divergence_of_weights_is_torchs():
    q, p = prior(4, 2), prior(4, 2)
    q = type(q)(torch.tensor([2.0, 5.0, 1.0, 0.3], dtype=torch.float64), q.components)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Dirichlet(q.concentration), torch.distributions.Dirichlet(p.concentration)
    )
    torch.testing.assert_close(q.divergence_of_weights(p), expected)


def fitted(seed=0, k=3):
    """A posterior that no two components of are alike, its prior, the moments and their layout."""
    torch.manual_seed(seed)
    x = torch.randn(50, 2, dtype=torch.float64) * 3
    layout, moments = laid_out(x)
    start = torch.softmax(torch.randn(50, k, dtype=torch.float64) * 2, 1)
    return prior(k, 2).updated(start.T @ moments.T, layout), prior(k, 2), moments, layout


def test_the_e_step_gives_sums_of_responsibilities_and_the_evidence_of_the_bound():
    posterior, before, moments, layout = fitted()
    sums, evidence = posterior.expected(moments, layout)
    responsibilities = posterior.responsibilities(moments, layout)
    torch.testing.assert_close(responsibilities.sum(0), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(sums, responsibilities @ moments.T)
    joint = posterior.log_likelihoods(moments, layout) + posterior.expected_log_weights()[:, None]
    entropy = -torch.xlogy(responsibilities, responsibilities).sum()
    torch.testing.assert_close(evidence, (responsibilities * joint).sum() + entropy)
    _, bound = step(posterior, before, moments, layout)
    assert bound == pytest.approx(float(evidence - posterior.divergence(before)))


def test_blending_is_as_if_the_statistics_were_blended():
    _, before, moments, layout = fitted()
    one, other = (torch.softmax(torch.randn(3, 50, dtype=torch.float64), 0) @ moments.T for _ in range(2))
    blended = before.updated(one, layout).blended(before.updated(other, layout), 0.2)
    expected = before.updated(0.8 * one + 0.2 * other, layout)
    for name, tensor in expected.state().items():
        torch.testing.assert_close(blended.state()[name], tensor)


def test_the_state_brings_a_posterior_back():
    posterior, *_ = fitted()
    again = Posterior.of_state(posterior.state())
    assert all(torch.equal(again.state()[name], tensor) for name, tensor in posterior.state().items())


def test_a_part_holds_the_first_components():
    posterior, *_ = fitted()
    for name, tensor in posterior.part(2).state().items():
        assert torch.equal(tensor, posterior.state()[name][:2])


def test_coefficients_of_a_draw_give_the_joint_density():
    posterior, _, _, layout = fitted()
    torch.manual_seed(1)
    drawn = posterior.draw()
    x, variance = torch.randn(7, 2, dtype=torch.float64), torch.rand(7, 2, dtype=torch.float64)
    joint = drawn.coefficients(layout) @ layout.moments(Gaussian(x, variance))
    normal = torch.distributions.MultivariateNormal(
        drawn.components.mean[:, 0], precision_matrix=drawn.components.precision[:, 0]
    )
    precisions = drawn.components.precision[:, 0].diagonal(dim1=1, dim2=2)
    expected = normal.log_prob(x[:, None]).T - 0.5 * precisions @ variance.T + drawn.log_weights[:, None]
    torch.testing.assert_close(joint, expected)
