"""Variational Bayes in closed form: how a mixture learns where nothing else was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from pgmgraph import Guarantee
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.posterior import Posterior


class VariationalBayes:
    """E and M steps over the whole plate. Other ways to learn a mixture derive from it and override what differs.

    A way holds what it needs from pass to pass and from update to update, but for the posterior, which is the
    mixture's.

    Attributes:
        passes: how many times an update runs over the plate.
        guarantee, step_items, elbo_items: see `Module`.
    """

    guarantee: ClassVar[Guarantee] = "exact"
    elbo_items: ClassVar[int | None] = None
    step_items: int | None = None

    def __init__(self, passes: int) -> None:
        self.passes = passes

    def begin(self, posterior: Posterior, layout: Layout) -> None:
        """Take up learning where the start left the mixture."""

    def statistics(self, moments: Tensor, posterior: Posterior, layout: Layout) -> dict[str, Tensor]:
        """Summable statistics of a minibatch with the given moments, (columns, n); "sums" is (K, columns)."""
        return {"sums": posterior.responsibilities(moments, layout) @ moments.T}

    def learn(self, total: Mapping[str, Tensor], posterior: Posterior, prior: Posterior, layout: Layout) -> Posterior:
        """The posterior that follows from the last one and from the statistics of the plate."""
        return prior.updated(total["sums"], layout)

    def responsibilities(self, moments: Tensor, posterior: Posterior, layout: Layout) -> Tensor:
        """q(c), (K, n)."""
        return posterior.responsibilities(moments, layout)

    def state(self) -> dict[str, object]:
        """What learning goes on from after an update, besides the posterior: tensors and plain values."""
        return {}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take a state back, empty before the first update, and forget an update that was broken off."""
