"""The factor of one modality, against automatic differentiation and plain regression."""

import torch

from pgmgraph import Gaussian
from pgmgraph_modules.multimodal.linear_factor import LinearFactor

torch.manual_seed(0)
N, D, L = 12, 3, 2


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def spread(n, d):
    root = draw(n, d, d)
    return root @ root.mT + 0.1 * torch.eye(d).double()


def factor(diagonal=False):
    noise = spread(1, D)[0]
    return LinearFactor(
        draw(D, L + 1),
        noise.diagonal().diag_embed() if diagonal else noise,
        draw(D),
        torch.tensor(1e-6).double(),
        diagonal,
    )


def beliefs(missing=None):
    return Gaussian(draw(N, D), spread(N, D), missing=missing), Gaussian(draw(N, L), spread(N, L))


def test_the_expected_log_is_that_of_draws():
    one, (x, z) = factor(), beliefs()
    draws = 20_000
    xs, zs = x.distribution().sample((draws,)), z.distribution().sample((draws,))
    density = torch.distributions.MultivariateNormal(one.mean_of(zs), one.noise)
    sampled = density.log_prob(xs)
    error = sampled.std(0) / draws**0.5
    assert ((one.expected_log(x, z) - sampled.mean(0)).abs() < 5 * error).all()


def test_the_message_is_the_expected_log_as_a_function_of_x():
    for diagonal in (False, True):
        one, (x, z) = factor(diagonal), beliefs()
        torch.testing.assert_close(one.message(z, None).expectation(x), one.expected_log(x, z))
        mean, variance = x.mean.clone().requires_grad_(), x.variance.clone().requires_grad_()
        slopes = torch.autograd.grad(one.expected_log(Gaussian(mean, variance), z).sum(), (mean, variance))
        message = one.message(z, None)
        precision = message.precision.diag_embed() if diagonal else message.precision
        torch.testing.assert_close(slopes[0], message.shift - (precision @ x.mean[:, :, None])[:, :, 0])
        torch.testing.assert_close(slopes[1], -0.5 * precision)


def test_what_x_says_of_z_is_the_derivative_too():
    one, (x, z) = factor(), beliefs()
    mean, variance = z.mean.clone().requires_grad_(), z.variance.clone().requires_grad_()
    slopes = torch.autograd.grad(one.expected_log(x, Gaussian(mean, variance)).sum(), (mean, variance))
    torch.testing.assert_close(slopes[0], one.shift(x) - z.mean @ one.information())
    torch.testing.assert_close(slopes[1], -0.5 * one.information().expand(N, L, L))


def test_the_update_is_a_stationary_point_of_the_expected_log():
    for diagonal in (False, True):
        missing = torch.arange(N) % 4 == 0
        x, z = beliefs(missing)
        found = factor(diagonal).updated(factor(diagonal).sums(x, z))
        before = factor(diagonal)
        found = before.updated(before.sums(x, z))
        best = float(found.expected_log(x, z).sum())
        for name in ("regression", "noise"):
            for _ in range(20):
                step = 1e-3 * draw(*getattr(found, name).shape)
                if name == "noise":
                    step = step.diagonal().diag_embed() if diagonal else step + step.T
                moved = LinearFactor(**{**vars(found), name: getattr(found, name) + step})
                assert float(moved.expected_log(x, z).sum()) < best


def test_missing_rows_equal_rows_left_out():
    one, missing = factor(), torch.arange(N) % 3 == 1
    x, z = beliefs(missing)
    short = one.sums(Gaussian(x.mean[~missing], x.variance[~missing]), z[~missing])
    for name, total in one.sums(x, z).items():
        torch.testing.assert_close(total, short[name])
    assert not one.expected_log(x, z)[missing].any()
    assert not one.shift(x)[missing].any()


def test_no_variance_falls_below_the_least():
    values = draw(N, 1) @ draw(1, D)
    x = Gaussian(values, torch.zeros_like(values))
    z = Gaussian(draw(N, L), torch.full((N, L), 0.1).double())
    for diagonal in (False, True):
        one = factor(diagonal).updated(factor(diagonal).sums(x, z))
        assert torch.linalg.eigvalsh(one.noise).min() > 0.99e-6
