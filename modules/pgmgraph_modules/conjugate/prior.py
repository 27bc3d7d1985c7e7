"""The Normal-Wishart prior of components that the data have not told apart yet."""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart


def prior_from(
    belief: Gaussian,
    components: int,
    *,
    full: bool,
    mean_precision: float = 1.0,
    freedom: float | None = None,
    mean: list[float] | None = None,
    scale: float | None = None,
) -> tuple[Layout, NormalWishart]:
    """One prior for all components, and the layout of moments about the centre of the data.

    Args:
        belief: about the vectors, one at least.
        components: K.
        full: whether covariances are full.
        mean_precision: how many items the prior mean is worth.
        freedom: of the Wishart prior; by default the dimensions of a block and 2.
        mean: (D,); by default the mean of the data.
        scale: prior covariance, one number for all dimensions; by default the variance of the data along each.
    """
    centre = belief.mean.mean(0)
    variance = belief.mean.var(0, correction=0) + belief.marginal_variance().mean(0)
    if scale is not None:
        variance = torch.full_like(variance, scale)
    # A column without spread has no scale of its own: it is given a small share of the others'.
    typical = variance.mean()
    variance = variance.clamp_min(1e-6 * float(typical) if typical > 0 else 1.0)
    layout = Layout(len(centre), full, centre)
    blocks, size = layout.blocks
    located: Tensor = torch.zeros_like(centre) if mean is None else centre.new_tensor(mean) - centre
    # E[Sigma] = W^-1 / (nu - d - 1), which is the variance of the data where nu = d + 2.
    inverse_scale = variance.reshape(blocks, size).diag_embed()
    return layout, NormalWishart(
        located.reshape(blocks, size).expand(components, -1, -1).contiguous(),
        centre.new_full((components,), mean_precision),
        inverse_scale.expand(components, -1, -1, -1).contiguous(),
        centre.new_full((components,), size + 2.0 if freedom is None else freedom),
    )
