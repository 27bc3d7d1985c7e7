"""Dirichlet densities, against torch's and against draws."""

import math

import pytest
import torch
from torch.distributions import Dirichlet, kl_divergence

from pgmgraph_modules.conjugate import dirichlet


def test_divergences_are_those_of_torch_row_by_row():
    torch.manual_seed(0)
    concentration, prior = 5 * torch.rand(4, 3, dtype=torch.float64), torch.rand(4, 3, dtype=torch.float64)
    expected = kl_divergence(Dirichlet(concentration), Dirichlet(prior))
    torch.testing.assert_close(dirichlet.divergence(concentration, prior), expected)
    assert dirichlet.divergence(prior, prior).abs().max() < 1e-12


@pytest.mark.parametrize("concentration", [[0.01, 0.01, 0.02], [0.5, 3.0, 20.0]])
def test_draws_are_dirichlet_also_where_they_underflow(concentration):
    torch.manual_seed(0)
    alpha, n = torch.tensor(concentration, dtype=torch.float64), 20_000
    drawn = dirichlet.drawn_log(alpha.expand(n, -1))
    assert torch.isfinite(drawn).all()
    torch.testing.assert_close(drawn.logsumexp(1), torch.zeros(n, dtype=torch.float64), rtol=0, atol=1e-12)
    mean = alpha / alpha.sum()
    for values, expected in (
        (drawn.exp(), mean),
        ((drawn.exp() - mean).square(), mean * (1 - mean) / (1 + alpha.sum())),
        (drawn, dirichlet.expected_log(alpha)),  # below -100 where the concentration is small: exp of it underflows
    ):
        assert ((values.mean(0) - expected).abs() < 5 * values.std(0) / math.sqrt(n)).all()
