"""Normal-Wishart posteriors against torch's distributions and Monte Carlo."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t, wishart
from torch.distributions import MultivariateNormal, Wishart

from pgmgraph_modules.conjugate.normal_wishart import NormalWishart

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


@pytest.mark.parametrize("temperature", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("size", [1, 3])
def test_predictive_draws_at_a_temperature_follow_the_power_of_the_density(size, temperature):
    """The distance from the mean, in units of the scale, against the integral of scipy's density to the power."""
    torch.manual_seed(4)
    q, n = parameters(1, size, freedom=11.0), 20_000
    for k in range(K):
        freedom = float(q.nu[k] + 1 - size)
        scale = (1 + q.beta[k]) / (q.beta[k] * freedom) * q.inverse_scale[k, 0]
        factor = torch.linalg.cholesky(scale)
        away = q.predictive(torch.full((n,), k), temperature) - q.mean[k, 0]
        distances = torch.linalg.solve_triangular(factor, away.T, upper=False).norm(dim=0)
        radii = torch.linspace(0, 200, 400_001, dtype=torch.float64)
        student = multivariate_t(q.mean[k, 0].numpy(), scale.numpy(), df=freedom)
        log_density = torch.from_numpy(student.logpdf((q.mean[k, 0] + radii[:, None] * factor[:, 0]).numpy()))
        density = radii ** (size - 1) * torch.exp((log_density - log_density[0]) / temperature)
        integral = torch.cumulative_trapezoid(density, radii)
        expected = torch.from_numpy(np.interp(distances.sort().values, radii[1:], integral / integral[-1]))
        # Kolmogorov and Smirnov: 2.7 / sqrt(n) is passed once in a million.
        assert (expected - torch.linspace(0, 1, n)).abs().max() < 2.7 / math.sqrt(n)


def test_blocks_are_drawn_at_a_temperature_each_by_itself():
    torch.manual_seed(5)
    q = parameters(3, 1, freedom=11.0)
    together = q.predictive(torch.zeros(60_000, dtype=torch.int64), 0.5)
    freedom = (q.nu[0] + 1) / 0.5 - 1
    variance = (1 + q.beta[0]) / q.beta[0] * q.inverse_scale[0].flatten() / (freedom - 2)
    torch.testing.assert_close(torch.cov(together.T), variance.diag(), rtol=0.05, atol=0.05)


def test_at_temperature_zero_it_draws_the_mode_and_at_the_hottest_nothing_is_left():
    q = parameters(1, 3)
    components = torch.tensor([0, 1, 1])
    assert torch.equal(q.predictive(components, 0.0), q.mean[components].flatten(1))
    # The tail of the density's radial part falls by a power that must be below -1 for the integral to be finite.
    power = 3 - 1 - (q.nu + 1 - 3 + 3) / q.hottest
    torch.testing.assert_close(power, -torch.ones(K, dtype=torch.float64))


def natural_parameters(q):
    weighted = q.beta[:, None, None] * q.mean
    second = q.inverse_scale + weighted.unsqueeze(-1) * q.mean.unsqueeze(-2)
    return q.beta, weighted, second, q.nu


@pytest.mark.parametrize(("blocks", "size"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_blending_is_linear_in_the_natural_parameters(blocks, size, share):
    q, p = parameters(blocks, size), parameters(blocks, size, seed=5, freedom=6.0)
    for blended, mine, theirs in zip(*map(natural_parameters, (q.blended(p, share), q, p)), strict=True):
        torch.testing.assert_close(blended, (1 - share) * mine + share * theirs)


def test_blending_stays_positive_definite_far_from_the_centre():
    # Where the outer product of the mean takes all sixteen digits, taking it off leaves nothing of W^-1.
    q, p = parameters(1, 3), parameters(1, 3, seed=5)
    far = type(q)(q.mean + 1e9, q.beta, q.inverse_scale, q.nu)
    other = type(p)(p.mean + 1e9, p.beta, p.inverse_scale, p.nu)
    expected = q.blended(p, 0.25).inverse_scale
    torch.testing.assert_close(far.blended(other, 0.25).inverse_scale, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_normalisers_give_the_evidence_of_one_observation_a_student_t(size):
    prior = parameters(1, size)
    z = torch.randn(K, 1, size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    posterior = prior.updated(torch.ones(K, dtype=torch.float64), z, z.unsqueeze(-1) * z.unsqueeze(-2))
    evidence = posterior.log_normaliser() - prior.log_normaliser() - 0.5 * size * math.log(2 * math.pi)
    for k in range(K):
        freedom = prior.nu[k] + 1 - size
        shape = (1 + prior.beta[k]) / (prior.beta[k] * freedom) * prior.inverse_scale[k, 0]
        student = multivariate_t(prior.mean[k, 0].numpy(), shape.numpy(), df=float(freedom))
        assert float(evidence[k]) == pytest.approx(student.logpdf(z[k, 0].numpy()))


def test_normalisers_of_blocks_multiply():
    q = parameters(3, 1)
    apart = [type(q)(q.mean[:, b, None], q.beta, q.inverse_scale[:, b, None], q.nu) for b in range(3)]
    torch.testing.assert_close(q.log_normaliser(), sum(one.log_normaliser() for one in apart))


def many(q, n):
    """The same component n times over, so that one draw gives n of them."""
    return type(q)(*(tensor[:1].repeat(n, *[1] * (tensor.ndim - 1)) for tensor in vars(q).values()))


def assert_mean(values, expected):
    """The mean of independent draws, (n, ...), is the expected one within five standard errors."""
    error = values.std(0) / math.sqrt(len(values))
    assert ((values.mean(0) - expected).abs() < 5 * error + 1e-12).all()


@pytest.mark.parametrize(("blocks", "size"), SHAPES)
def test_draws_have_the_moments_of_the_normal_wishart(blocks, size):
    torch.manual_seed(3)
    q = parameters(blocks, size, freedom=9.5)
    drawn = many(q, 40_000).draw()
    scale = torch.linalg.inv(q.inverse_scale[0])
    assert_mean(drawn.precision, 9.5 * scale)
    assert_mean(drawn.log_determinant, q.expected_log_determinant()[0].sum())
    # Var(Lambda_ij) = nu (W_ij^2 + W_ii W_jj), E[Lambda^-1] = W^-1 / (nu - d - 1), Cov(mu) = E[Lambda^-1] / beta.
    diagonal = scale.diagonal(dim1=-2, dim2=-1)
    variance = 9.5 * (scale.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))
    assert_mean((drawn.precision - 9.5 * scale).square(), variance)
    covariance = q.inverse_scale[0] / (9.5 - size - 1)
    assert_mean(torch.linalg.inv(drawn.precision), covariance)
    away = drawn.mean - q.mean[0]
    assert_mean(away, torch.zeros_like(away[0]))
    assert_mean(away.unsqueeze(-1) * away.unsqueeze(-2), covariance / q.beta[0])
    # The mean depends on the precision by its scale: standardised, it does not.
    distance = torch.einsum("nbi,nbij,nbj->nb", away, drawn.precision, away) * q.beta[0]
    assert_mean(distance, torch.full((blocks,), float(size), dtype=torch.float64))
    assert_mean((distance - size) * (drawn.log_determinant / blocks - drawn.log_determinant.mean())[:, None], 0.0)


def test_draws_agree_with_scipys_wishart_in_distribution():
    torch.manual_seed(4)
    q = parameters(1, 3, freedom=3.4)  # few degrees of freedom: far from what moments alone would show
    ours = torch.logdet(many(q, 20_000).draw().precision).flatten().sort().values
    scale = torch.linalg.inv(q.inverse_scale[0, 0])
    theirs = torch.from_numpy(wishart(3.4, scale.numpy()).rvs(20_000, random_state=4))
    theirs = torch.logdet(theirs).sort().values
    # Kolmogorov and Smirnov's distance; above 1.95 sqrt(2 / n) it has a probability of one in a thousand.
    both = torch.cat([ours, theirs])
    distance = (torch.searchsorted(ours, both, right=True) - torch.searchsorted(theirs, both, right=True)).abs().max()
    assert float(distance) / 20_000 < 1.95 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize(("blocks", "size"), SHAPES)
def test_a_draw_is_a_normal_density(blocks, size):
    torch.manual_seed(5)
    drawn = parameters(blocks, size).draw()
    z = torch.randn(blocks, size, dtype=torch.float64)
    density = MultivariateNormal(drawn.mean, precision_matrix=drawn.precision).log_prob(z).sum(-1)
    shift, precision, log_scale = drawn.natural()
    value = log_scale + (shift * z).sum((1, 2)) - 0.5 * torch.einsum("kbij,bi,bj->k", precision, z, z)
    torch.testing.assert_close(value, density)


@pytest.mark.parametrize(("blocks", "size"), SHAPES)
def test_a_fitted_prior_lowers_the_divergence_as_far_as_its_two_numbers_can(blocks, size):
    one, posterior = parameters(blocks, size, seed=5), parameters(blocks, size)
    shape = one.inverse_scale[:1].expand(K, -1, -1, -1)
    prior = NormalWishart(one.mean[:1].expand(K, -1, -1), one.beta[:1].expand(K), shape, one.nu[:1].expand(K))
    fitted = prior.fitted_to(posterior)
    numbers = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    beta, times = numbers.exp()

    def changed(beta, times):
        return NormalWishart(fitted.mean, beta * fitted.beta, times * fitted.inverse_scale, fitted.nu)

    divergence = posterior.divergence(changed(beta, times)).sum()
    [slope] = torch.autograd.grad(divergence, numbers)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-10)
    for beta, times in [(0.9, 1.0), (1.1, 1.0), (1.0, 0.9), (1.0, 1.1)]:
        assert posterior.divergence(changed(beta, times)).sum() > divergence
    # What the two numbers were does not matter.
    again = NormalWishart(prior.mean, 7 * prior.beta, 0.01 * prior.inverse_scale, prior.nu).fitted_to(posterior)
    torch.testing.assert_close(again.beta, fitted.beta)
    torch.testing.assert_close(again.inverse_scale, fitted.inverse_scale)
