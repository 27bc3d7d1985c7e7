"""Pyro's mean-field estimator of the bound, without a look at its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceMeanField_ELBO
from pyro.poutine.util import is_validation_enabled
from torch import Tensor
from torch.distributions import kl_divergence


class MeanField(TraceMeanField_ELBO):
    """Pyro's estimator, which looks at the loss three times on the way; here nobody looks, but where it checks.

    Each look would stop a GPU until all that it was asked for is done.
    """

    def differentiable_loss(
        self, model: Callable[..., object], guide: Callable[..., object], *mail: Any, **ports: Any
    ) -> Tensor:  # Any: what lies at the ports, as in `SVIModule.model`
        """Minus the bound, by the analytic KL of a latent where there is one and by its draw where there is none."""
        if is_validation_enabled():
            checked: Tensor = super().differentiable_loss(model, guide, *mail, **ports)  # type: ignore[no-untyped-call]
            return checked
        traces = self._get_traces(model, guide, mail, ports)  # type: ignore[no-untyped-call]
        mean: Tensor = torch.stack([_loss(*pair) for pair in traces]).sum() / self.num_particles
        return mean


def _loss(model: poutine.Trace, guide: poutine.Trace) -> Tensor:
    bound = torch.zeros(())
    sites: Mapping[str, Mapping[str, Any]] = model.nodes  # Any: what Pyro records of a site
    for name, site in sites.items():
        if site["type"] != "sample":
            continue
        if site["is_observed"]:
            bound = bound + site["log_prob_sum"]
            continue
        believed: Mapping[str, Any] = guide.nodes[name]
        try:
            divergence = kl_divergence(believed["fn"], site["fn"])
        except NotImplementedError:
            bound = bound + site["log_prob_sum"] - believed["score_parts"].entropy_term.sum()
        else:
            bound = bound - scale_and_mask(divergence, believed["scale"], believed["mask"]).sum()
    for name, site in guide.nodes.items():
        if site["type"] == "sample" and name not in model.nodes:
            bound = bound - site["score_parts"].entropy_term.sum()
    return -bound
