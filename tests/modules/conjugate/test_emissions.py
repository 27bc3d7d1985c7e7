"""What states look like in vectors: expectations, the message to them, and what is missing."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.prior import prior_from


def belief(n=8, full=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, 2, 2, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT
    variance = covariance if full else covariance.diagonal(dim1=1, dim2=2).clone()
    return Gaussian(5 + torch.randn(n, 2, generator=generator, dtype=torch.float64), variance)


def learnt(full=True):
    x = belief()
    layout, prior = prior_from(x, 3, full=full)
    emissions = Emissions(layout, prior, prior)
    probs = torch.softmax(torch.arange(24.0, dtype=torch.float64).reshape(8, 3).sin() * 3, 1)
    return emissions.updated(emissions.sums(x, probs)), probs


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("full_belief", [True, False])
def test_the_message_is_the_expected_log_factor_as_a_function_of_the_belief(full, full_belief):
    emissions, probs = learnt(full)
    message = emissions.message(probs)
    for seed in range(5):  # both are linear in E[x] and E[x x'], so their derivatives agree with their values
        x = belief(full=full_belief, seed=seed)
        expected = (probs * emissions.log_likelihoods(x)).sum(1)
        torch.testing.assert_close(message.expectation(x), expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("full", [True, False])
def test_what_is_missing_is_in_no_sum_whatever_it_holds(full):
    emissions, probs = learnt(full)
    x = belief()
    missing = torch.arange(8) % 3 == 1
    mean = x.mean.clone()
    mean[missing] = torch.nan
    holed = Gaussian(mean, x.variance, missing=missing)
    torch.testing.assert_close(emissions.sums(holed, probs), emissions.sums(x[~missing], probs[~missing]))
    likelihoods = emissions.log_likelihoods(holed)
    assert not likelihoods[missing].any()
    torch.testing.assert_close(likelihoods[~missing], emissions.log_likelihoods(x)[~missing])


@pytest.mark.parametrize("full", [True, False])
def test_the_state_brings_them_back_and_means_are_where_the_vectors_are(full):
    emissions, _ = learnt(full)
    again = Emissions.of_state(emissions.state())
    assert torch.equal(again.log_likelihoods(belief()), emissions.log_likelihoods(belief()))
    assert ((emissions.means - 5).abs() < 2).all()
    assert emissions.covariances.shape == ((3, 2, 2) if full else (3, 2))
