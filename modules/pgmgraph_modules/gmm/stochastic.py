"""Stochastic variational inference: natural-gradient steps, each from a part of the plate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from pgmgraph import Guarantee
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.posterior import Posterior
from pgmgraph_modules.gmm.variational import VariationalBayes


class Stochastic(VariationalBayes):
    """Step t takes the natural parameters a share (t + delay)^-forgetting of the way to a minibatch's posterior.

    That is a step along the natural gradient (Hoffman, Blei, Wang and Paisley, 2013, figure 4). Steps are counted
    through all updates.

    Args:
        passes: how many times an update runs over the plate.
        batch_size: items in a minibatch.
        delay: how far the first steps are held back, at least 1.
        forgetting: above 0.5 and at most 1; the smaller, the sooner what was learnt from beliefs of earlier
            rounds is forgotten, and the more the last minibatches count.
    """

    guarantee: ClassVar[Guarantee] = "stochastic"
    elbo_items: ClassVar[int | None] = 65_536

    def __init__(self, passes: int, batch_size: int, delay: float, forgetting: float) -> None:
        super().__init__(passes)
        self.step_items = batch_size
        self._delay = delay
        self._forgetting = forgetting
        self._steps = 0

    def learn(self, total: Mapping[str, Tensor], posterior: Posterior, prior: Posterior, layout: Layout) -> Posterior:
        """See `VariationalBayes.learn`; `total` is a minibatch's, scaled up to the plate."""
        share = (self._steps + self._delay) ** -self._forgetting
        self._steps += 1
        return posterior.blended(prior.updated(total["sums"], layout), share)

    def state(self) -> dict[str, object]:
        """How many steps were taken."""
        return {"steps": self._steps}

    def restore(self, state: Mapping[str, object]) -> None:
        """See `VariationalBayes.restore`."""
        steps = state.get("steps", 0)
        assert isinstance(steps, int)
        self._steps = steps
