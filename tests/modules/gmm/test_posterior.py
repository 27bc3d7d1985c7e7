"""Steps of variational Bayes."""

import torch

from pgmgraph_modules.gmm.posterior import step
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
