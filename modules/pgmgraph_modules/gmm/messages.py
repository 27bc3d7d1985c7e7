"""What a mixture sends to the vectors below it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pgmgraph import MixturePotential, PooledGaussianPotential
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import Normals
from pgmgraph_modules.gmm.posterior import Posterior

Scheme = Literal["expected", "component", "mean", "mixture"]


def message_to_x(
    scheme: Scheme, posterior: Posterior, layout: Layout, responsibilities: Tensor
) -> PooledGaussianPotential | MixturePotential:
    """The message to x by one of the schemes that `GMM` describes.

    Args:
        scheme: the argument `message` of `GMM`.
        posterior: of the parameters.
        layout: of the vectors; where their centre is.
        responsibilities: (n, K), q(c).

    Returns:
        The message about n vectors.
    """
    components = posterior.components
    if scheme in ("expected", "mixture"):
        shift, precision, log_scale = components.natural()
    else:
        nearest = responsibilities.argmax(1)
        responsibilities = torch.nn.functional.one_hot(nearest, responsibilities.shape[1]).to(responsibilities)
        precision = components.expected_precision()
        if scheme == "mean":
            precision = torch.eye(precision.shape[-1]).to(precision).expand_as(precision)
        log_determinant = torch.linalg.slogdet(precision).logabsdet.sum(-1)
        shift, precision, log_scale = Normals(components.mean, precision, log_determinant).natural()
    shift, precision, log_scale = layout.uncentred(shift, precision, log_scale)
    if scheme == "mixture":
        log_weights = posterior.expected_log_weights()
        return MixturePotential(len(responsibilities), log_weights, shift, precision, log_scale)
    return PooledGaussianPotential(responsibilities, shift, precision, log_scale)
