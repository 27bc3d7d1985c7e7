"""Variational Bayes, the way that the others derive from."""

import torch

from pgmgraph_modules.gmm.posterior import step
from pgmgraph_modules.gmm.variational import VariationalBayes
from tests.modules.gmm.test_posterior import fitted


def test_a_pass_is_an_e_step_and_an_m_step():
    posterior, prior, moments, layout = fitted()
    way = VariationalBayes(2)
    total = way.statistics(moments, posterior, layout)
    following = way.learn(total, posterior, prior, layout)
    expected, _ = step(posterior, prior, moments, layout)
    for name, tensor in expected.state().items():
        torch.testing.assert_close(following.state()[name], tensor)
    responsibilities = way.responsibilities(moments, posterior, layout)
    torch.testing.assert_close(total["sums"], responsibilities @ moments.T)


def test_statistics_of_minibatches_add_up():
    posterior, _, moments, layout = fitted()
    way = VariationalBayes(1)
    parts = [way.statistics(part, posterior, layout)["sums"] for part in moments.split(13, 1)]
    torch.testing.assert_close(sum(parts), way.statistics(moments, posterior, layout)["sums"])


def test_it_goes_on_from_the_posterior_alone():
    way = VariationalBayes(3)
    assert (way.passes, way.guarantee, way.step_items, way.elbo_items) == (3, "exact", None, None)
    assert way.state() == {}
