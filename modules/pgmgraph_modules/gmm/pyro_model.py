"""The mixture as a Pyro model, and its mean-field posterior as a Pyro guide.

The closed form learns from neither; they state what it learns, for any inference that Pyro has.
"""

from __future__ import annotations

import pyro
from pyro import distributions as dist
from pyro.ops.indexing import Vindex
from torch import Tensor

from pgmgraph import Categorical, Gaussian
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart
from pgmgraph_modules.gmm.posterior import Posterior


def model(prior: Posterior, layout: Layout, n: int, x: Tensor | None = None) -> None:
    """p(weights) p(components) p(c | weights) p(x | c, components), in centred coordinates.

    Args:
        prior: of the parameters.
        layout: says in how many blocks a component's dimensions fall.
        n: how many items.
        x: (n, D) values, where they are observed.
    """
    weights = pyro.sample("weights", dist.Dirichlet(prior.concentration))
    precision, mean = _components(prior.components)
    values = None if x is None else x.reshape(n, *layout.blocks)
    with pyro.plate("items", n, dim=-1):
        c = pyro.sample("c", dist.Categorical(weights))
        located = Vindex(mean.unsqueeze(-4))[..., c, :, :]
        scattered = Vindex(precision.unsqueeze(-5))[..., c, :, :, :]
        pyro.sample("x", dist.MultivariateNormal(located, precision_matrix=scattered).to_event(1), obs=values)


def guide(posterior: Posterior, layout: Layout, x: Gaussian, c: Categorical) -> None:
    """q(weights) q(components) q(c) q(x), in centred coordinates.

    Args:
        posterior: of the parameters.
        layout: as in `model`.
        x: the belief about the vectors; where its variance is zero, `model` observes them instead.
        c: the belief about the components.
    """
    pyro.sample("weights", dist.Dirichlet(posterior.concentration))
    _components(posterior.components)
    n = len(x)
    with pyro.plate("items", n, dim=-1):
        pyro.sample("c", dist.Categorical(c.probs))
        if bool((x.marginal_variance() > 0).all()):
            mean = (x.mean - layout.centre).reshape(n, *layout.blocks)
            if layout.full:
                covariance = x.variance.diag_embed() if x.is_diagonal else x.variance
                covariance = covariance.unsqueeze(1)
            else:
                covariance = x.marginal_variance().reshape(n, *layout.blocks, 1)
            pyro.sample("x", dist.MultivariateNormal(mean, covariance).to_event(1))


def _components(parameters: NormalWishart) -> tuple[Tensor, Tensor]:
    """Precisions (K, B, d, d) and, given them, means (K, B, d)."""
    blocks = parameters.mean.shape[1]
    with pyro.plate("components", len(parameters.nu), dim=-1):
        freedom = parameters.nu[:, None].expand(-1, blocks)
        wishart = dist.Wishart(freedom, precision_matrix=parameters.inverse_scale).to_event(1)
        precision: Tensor = pyro.sample("precision", wishart)
        sharp = parameters.beta[:, None, None, None] * precision
        mean: Tensor = pyro.sample("mean", dist.MultivariateNormal(parameters.mean, precision_matrix=sharp).to_event(1))
    return precision, mean
