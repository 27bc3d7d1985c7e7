"""Starts of a mixture."""

import torch

from pgmgraph import Gaussian, ModelGraph, Observation, fit
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart
from pgmgraph_modules.gmm.gmm import GMM
from pgmgraph_modules.gmm.posterior import Posterior, step
from pgmgraph_modules.gmm.starts import best_start


def prior(k, d):
    one = torch.ones(k, dtype=torch.float64)
    eye = torch.eye(d, dtype=torch.float64).expand(k, 1, d, d)
    return Posterior(one, NormalWishart(torch.zeros(k, 1, d, dtype=torch.float64), one, eye, one * (d + 2)))


def laid_out(x):
    layout = Layout(x.shape[1], True, torch.zeros(x.shape[1], dtype=torch.float64))
    return layout, layout.moments(Gaussian(x, torch.zeros_like(x)))


def test_the_best_start_stands_still_and_finds_separate_clusters():
    torch.manual_seed(0)
    x = torch.cat([torch.randn(40, 2, dtype=torch.float64) + 10 * i for i in range(3)])
    layout, moments = laid_out(x)
    posterior, bound = best_start(x, moments, prior(3, 2), layout, 3, 4)
    assert sorted(round(float(count)) - 1 for count in posterior.concentration) == [40, 40, 40]
    _, again = step(posterior, prior(3, 2), moments, layout)
    assert 0 <= again - bound < 1e-5 * abs(bound)


def test_more_components_than_items_leave_the_others_at_the_prior():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [50.0, 50.0]], dtype=torch.float64)
    layout, moments = laid_out(x)
    posterior, _ = best_start(x, moments, prior(5, 2), layout, 5, 2)
    assert torch.isfinite(posterior.components.mean).all()
    assert abs(float(posterior.concentration.sum()) - 7.0) < 1e-9


def test_a_fitted_prior_keeps_narrow_clusters_apart_that_one_as_wide_as_the_data_merges():
    torch.manual_seed(0)
    centres = 300 * torch.randn(4, 6, dtype=torch.float64)
    # The fifth is six standard deviations from the first along every axis, and the data are hundreds wide.
    centres = torch.cat([centres, centres[:1] + 6])
    labels = torch.arange(5).repeat_interleave(100)
    data = Observation(centres[labels] + torch.randn(500, 6, dtype=torch.float64))
    active = {}
    for prior in ("given", "fitted"):
        gmm = GMM(5, partition=labels, prior=prior)
        graph = ModelGraph(data=data, gmm=gmm)
        graph.connect(data.value, gmm.x)
        fit(graph, rounds=10, strict=True)
        active[prior] = gmm.active
    assert active == {"given": 4, "fitted": 5}
