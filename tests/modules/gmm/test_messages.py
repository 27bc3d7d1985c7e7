"""Messages to the vectors: each scheme's value, in the vectors' own coordinates."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from pgmgraph import Gaussian, MixturePotential, PooledGaussianPotential
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.messages import message_to_x
from tests.modules.gmm.test_posterior import fitted
from tests.modules.gmm.test_sums import block_prior


def far_off(full):
    """A posterior about vectors around (40, -70), and a few of them."""
    posterior, _, moments, layout = fitted()
    layout = Layout(2, full, torch.tensor([40.0, -70.0], dtype=torch.float64))
    x = moments[1:3].T[:6] + layout.centre
    if not full:
        start = torch.softmax(torch.randn(6, 3, dtype=torch.float64), 1)
        products = start.T @ layout.moments(Gaussian(x, torch.zeros_like(x))).T
        posterior = block_prior(3, 2, full).updated(products, layout)
    belief = Gaussian(x, 0.1 + torch.rand(6, 2, dtype=torch.float64))
    return posterior, layout, belief, torch.softmax(torch.randn(6, 3, dtype=torch.float64), 1)


@pytest.mark.parametrize("full", [True, False])
def test_the_expected_message_is_the_expected_log_likelihood_under_the_responsibilities(full):
    posterior, layout, belief, responsibilities = far_off(full)
    message = message_to_x("expected", posterior, layout, responsibilities)
    assert isinstance(message, PooledGaussianPotential)
    likelihoods = posterior.log_likelihoods(layout.moments(belief), layout).T
    torch.testing.assert_close(message.expectation(belief), (responsibilities * likelihoods).sum(1))


@pytest.mark.parametrize("full", [True, False])
def test_the_mixture_is_sent_whole(full):
    posterior, layout, belief, responsibilities = far_off(full)
    message = message_to_x("mixture", posterior, layout, responsibilities)
    assert isinstance(message, MixturePotential)
    certain = layout.moments(Gaussian(belief.mean, torch.zeros_like(belief.mean)))
    joint = posterior.log_likelihoods(certain, layout) + posterior.expected_log_weights()[:, None]
    torch.testing.assert_close(message.value(belief.mean), joint.logsumexp(0), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("scheme", ["component", "mean"])
def test_older_schemes_send_the_density_of_the_most_probable_component(full, scheme):
    posterior, layout, belief, responsibilities = far_off(full)
    message = message_to_x(scheme, posterior, layout, responsibilities)
    nearest = responsibilities.argmax(1)
    means = posterior.components.mean.flatten(1)[nearest] + layout.centre
    precision = posterior.components.expected_precision()
    precision = precision[:, 0] if full else precision.flatten(1).diag_embed()
    chosen = precision[nearest] if scheme == "component" else torch.eye(2, dtype=torch.float64).expand(6, 2, 2)
    density = MultivariateNormal(means, precision_matrix=chosen).log_prob(belief.mean)
    certain = Gaussian(belief.mean, torch.zeros_like(belief.mean))
    torch.testing.assert_close(message.expectation(certain), density, rtol=1e-9, atol=1e-8)
