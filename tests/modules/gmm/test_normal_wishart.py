"""Normal-Wishart posteriors against torch's distributions and Monte Carlo."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Wishart

from pgmgraph_modules.gmm.normal_wishart import NormalWishart

K = 2


def parameters(blocks, size, seed=0, freedom=7.5):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(K, blocks, size, size, generator=generator, dtype=torch.float64)
    mean = torch.randn(K, blocks, size, generator=generator, dtype=torch.float64)
    scale = root @ root.mT + torch.eye(size, dtype=torch.float64)
    return NormalWishart(
        mean, torch.tensor([1.5, 4.0], dtype=torch.float64), scale, torch.tensor([freedom, 12.0], dtype=torch.float64)
    )


def draws(q, n):
    """n draws of precision and mean of each component's first block."""
    precision = Wishart(q.nu[:, None].expand(-1, q.mean.shape[1]), precision_matrix=q.inverse_scale).sample((n,))
    sharp = q.beta[:, None, None, None] * precision
    return precision, MultivariateNormal(q.mean, precision_matrix=sharp).sample()


SHAPES = [(1, 3), (3, 1), (1, 1)]
quiet = pytest.mark.filterwarnings("ignore:Singular sample detected")


@quiet
@pytest.mark.parametrize(("blocks", "size"), SHAPES)
def test_expectations_agree_with_monte_carlo(blocks, size):
    torch.manual_seed(0)
    q = parameters(blocks, size)
    precision, mean = draws(q, 40_000)
    torch.testing.assert_close(precision.mean(0), q.expected_precision(), rtol=0.05, atol=0.05)
    log_determinant = torch.logdet(precision).mean(0)
    torch.testing.assert_close(log_determinant, q.expected_log_determinant(), rtol=0.02, atol=0.02)
    z = torch.randn(blocks, size, dtype=torch.float64)
    density = MultivariateNormal(mean, precision_matrix=precision).log_prob(z).sum(-1).mean(0)
    shift, natural, log_scale = q.natural()
    expected = log_scale + (shift * z).sum((1, 2)) - 0.5 * torch.einsum("kbij,bi,bj->k", natural, z, z)
    torch.testing.assert_close(density, expected, rtol=0.03, atol=0.03)


@quiet
@pytest.mark.parametrize(("blocks", "size"), SHAPES)
def test_divergence_agrees_with_monte_carlo(blocks, size):
    torch.manual_seed(1)
    q, p = parameters(blocks, size), parameters(blocks, size, seed=5, freedom=6.0)
    precision, mean = draws(q, 40_000)

    def log_density(of):
        wishart = Wishart(of.nu[:, None].expand(-1, blocks), precision_matrix=of.inverse_scale)
        normal = MultivariateNormal(of.mean, precision_matrix=of.beta[:, None, None, None] * precision)
        return (wishart.log_prob(precision) + normal.log_prob(mean)).sum(-1)

    ratio = log_density(q) - log_density(p)
    error = ratio.std(0) / math.sqrt(len(ratio))
    assert ((ratio.mean(0) - q.divergence(p)).abs() < 5 * error).all()


def test_divergence_from_itself_is_zero():
    q = parameters(1, 3)
    torch.testing.assert_close(q.divergence(q), torch.zeros(K, dtype=torch.float64), rtol=0, atol=1e-12)


def test_update_in_two_parts_is_the_update_at_once():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(9, 1, 3, generator=generator, dtype=torch.float64)
    r = torch.softmax(torch.randn(9, K, generator=generator, dtype=torch.float64), 1)

    def sums(rows):
        second = torch.einsum("nk,nbi,nbj->kbij", r[rows], z[rows], z[rows])
        return r[rows].sum(0), torch.einsum("nk,nbi->kbi", r[rows], z[rows]), second

    prior = parameters(1, 3)
    once = prior.updated(*sums(slice(None)))
    twice = prior.updated(*sums(slice(4))).updated(*sums(slice(4, None)))
    for name in ("mean", "beta", "inverse_scale", "nu"):
        torch.testing.assert_close(getattr(twice, name), getattr(once, name))


def test_predictive_draws_have_the_mean_and_covariance_of_the_student_t():
    torch.manual_seed(2)
    q = parameters(1, 3, freedom=11.0)
    for k in range(K):
        drawn = q.predictive(torch.full((60_000,), k))
        torch.testing.assert_close(drawn.mean(0), q.mean[k, 0], rtol=0, atol=0.05)
        freedom = q.nu[k] + 1 - 3
        covariance = (1 + q.beta[k]) / (q.beta[k] * freedom) * q.inverse_scale[k, 0] * freedom / (freedom - 2)
        torch.testing.assert_close(torch.cov(drawn.T), covariance, rtol=0.1, atol=0.1)
