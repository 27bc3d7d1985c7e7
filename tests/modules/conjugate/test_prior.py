"""The prior of components follows the data's spread, in full and diagonal form."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.prior import prior_from


def belief(n=50, d=3):
    torch.manual_seed(0)
    mean = torch.randn(n, d, dtype=torch.float64) * torch.tensor([5.0, 1.0, 0.1]) + 7
    return Gaussian(mean, torch.full((n, d), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("full", [True, False])
def test_the_expected_covariance_is_the_datas_with_what_beliefs_leave_open(full):
    layout, prior = prior_from(belief(), 4, full=full)
    size = prior.size
    covariance = prior.inverse_scale / (prior.nu - size - 1)[:, None, None, None]
    variance = belief().mean.var(0, correction=0) + 0.25
    torch.testing.assert_close(covariance.diagonal(dim1=-2, dim2=-1).reshape(4, 3), variance.expand(4, 3))
    assert torch.equal(layout.centre, belief().mean.mean(0))
    assert not prior.mean.any()


def test_what_is_given_is_not_taken_from_the_data():
    layout, prior = prior_from(belief(), 2, full=True, mean=[1.0, 2.0, 3.0], scale=4.0, freedom=9.0, mean_precision=0.5)
    located = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(prior.mean[:, 0] + layout.centre, located.expand(2, 3))
    torch.testing.assert_close(prior.inverse_scale[0, 0], 4 * torch.eye(3, dtype=torch.float64))
    assert prior.nu.tolist() == [9, 9]
    assert prior.beta.tolist() == [0.5, 0.5]


def test_columns_without_spread_get_a_scale_all_the_same():
    constant = Gaussian(torch.ones(5, 2, dtype=torch.float64), torch.zeros(5, 2, dtype=torch.float64))
    _, prior = prior_from(constant, 2, full=True)
    assert (prior.inverse_scale.diagonal(dim1=-2, dim2=-1) == 1).all()
