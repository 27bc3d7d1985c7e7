"""Gibbs sampling: components and parameters drawn in turn, and responsibilities averaged over the draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pgmgraph import Guarantee
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.posterior import Posterior
from pgmgraph_modules.gmm.variational import VariationalBayes


class Gibbs(VariationalBayes):
    """A blocked sampler of p(weights) p(mu, Lambda) prod_n pi_(c_n) exp E_q(x_n)[log N(x_n | mu_(c_n), Lambda_(c_n))].

    A sweep draws every c_n given the parameters, then the parameters given all of them. Each draw takes the
    posterior's component numbers: those that agree best with the responsibilities under the posterior, by the
    Hungarian method. The draws of the second half of an update's sweeps are kept, and q(c_n = k) is the average
    over them of p(c_n = k | parameters, x_n). One more pass takes the M step on it; so the posterior, what is
    sent, and F are variational expressions. The chain goes on from update to update.

    Args:
        sweeps: in one update.
    """

    guarantee: ClassVar[Guarantee] = "none"

    def __init__(self, sweeps: int) -> None:
        super().__init__(sweeps + 1)
        self._sweeps = sweeps
        self._done = 0
        # Each draw of the parameters as the matrix whose product with the moments is log p(c_n = k, x_n).
        self._draws: list[Tensor] = []

    def begin(self, posterior: Posterior, layout: Layout) -> None:
        """Draw the first parameters from the posterior."""
        self._draws = [posterior.draw().coefficients(layout)]

    def statistics(self, moments: Tensor, posterior: Posterior, layout: Layout) -> dict[str, Tensor]:
        """Sums of the moments by drawn component, and how often it met the posterior's; or, at last, averages'."""
        if self._done == self._sweeps:
            return {"sums": self.responsibilities(moments, posterior, layout) @ moments.T}
        chosen = drawn_components(self._draws[-1] @ moments)
        overlap = chosen @ posterior.responsibilities(moments, layout).T
        return {"sums": chosen @ moments.T, "overlap": overlap}

    def learn(self, total: Mapping[str, Tensor], posterior: Posterior, prior: Posterior, layout: Layout) -> Posterior:
        """Draw parameters given the drawn components; after the last sweep, take the M step."""
        if self._done == self._sweeps:
            self._done = 0
            return prior.updated(total["sums"], layout)
        if self._done <= self._sweeps // 2:
            self._draws.clear()
        self._done += 1
        sums = aligned(total["sums"], total["overlap"])
        self._draws.append(prior.updated(sums, layout).draw().coefficients(layout))
        return posterior

    def responsibilities(self, moments: Tensor, posterior: Posterior, layout: Layout) -> Tensor:
        """See `VariationalBayes.responsibilities`; averaged over the draws that were kept."""
        total = torch.zeros_like(moments[:1]).expand(len(self._draws[0]), -1).contiguous()
        for draw in self._draws:
            total += torch.softmax(draw @ moments, 0)
        return total / len(self._draws)

    def state(self) -> dict[str, object]:
        """The draws that were kept; the chain goes on from the last one."""
        return {"draws": torch.stack(self._draws)} if self._draws else {}

    def restore(self, state: Mapping[str, object]) -> None:
        """See `VariationalBayes.restore`."""
        draws = state.get("draws", ())
        assert isinstance(draws, Tensor | tuple)
        self._draws = list(draws)
        self._done = 0


def drawn_components(joint: Tensor) -> Tensor:
    """A draw of each item's component as an indicator, (K, n), given log weights up to a constant, (K, n).

    By the inverse of the cumulative distribution, one uniform number an item, so that minibatches of any size,
    in order, draw the same.
    """
    cumulative = torch.softmax(joint, 0).cumsum_(0)
    uniform = torch.rand(joint.shape[1], dtype=joint.dtype, device=joint.device)
    numbers = (cumulative <= uniform * cumulative[-1]).sum(0).clamp_max_(len(joint) - 1)
    return torch.zeros_like(joint).scatter_(0, numbers[None], 1.0)


def aligned(sums: Tensor, overlap: Tensor) -> Tensor:
    """The rows of `sums` in the order in which they agree best, (K, K) `overlap` giving each pair's agreement."""
    rows, labels = linear_sum_assignment(overlap.cpu().numpy(), maximize=True)
    return sums[torch.from_numpy(rows[labels.argsort()]).to(sums.device)]
