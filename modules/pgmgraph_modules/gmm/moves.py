"""Births, splits and merges of components, tried over a few passes and kept where the bound rises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.posterior import Posterior
from pgmgraph_modules.gmm.sums import EMPTY, Sums, drawn
from pgmgraph_modules.gmm.variational import VariationalBayes

PASSES = 15
_LEAST = 3
_ALIKE = 1e-6


@dataclass(frozen=True)
class Trial:
    """A changed mixture in the race with the one at hand.

    Attributes:
        posterior: of the changed mixture.
        left: passes that it may still take.
        seen: passes that it has taken.
        lead: how far its bound was above the other's, a pass ago.
    """

    posterior: Posterior
    left: int
    seen: int = 0
    lead: float = -math.inf

    def hopeless(self, lead: float) -> bool:
        """Whether a mixture that has come to this lead would still be behind at the end, at the pace of now."""
        return self.left <= 1 or (self.seen + 1 >= _LEAST and lead + (lead - self.lead) * (self.left - 1) < 0)


class Moves(VariationalBayes):
    """Variational Bayes, and then trials of moves that its steps cannot make.

    A trial changes the components and goes on with both the changed mixture and the one at hand, pass by pass. The
    changed one is kept as soon as its bound is the higher one, so an update never lowers the bound; it is given up
    when it does not catch up, and leaves its passes to the next trial. So a move is not judged before the components
    around it have settled. The bound comes out of the same E step as the statistics, and what a move changes
    are the statistics: no trial needs the items one by one.

    Args:
        passes: of variational Bayes in one update, before the trials.
        trials: how many trials an update has passes for, where each takes all that it may.
    """

    def __init__(self, passes: int, trials: int) -> None:
        super().__init__(passes + trials * PASSES)
        self._before = passes
        self._done = 0
        self._trial: Trial | None = None

    def statistics(self, moments: Tensor, posterior: Posterior, layout: Layout) -> dict[str, Tensor]:
        """In a trial, the sums and the evidence of both mixtures: (2, K, columns) and (2,)."""
        if self._trial is None:
            return super().statistics(moments, posterior, layout)
        pair = [one.expected(moments, layout) for one in (posterior, self._trial.posterior)]
        sums, evidence = zip(*pair, strict=True)
        return {"sums": torch.stack(sums), "evidence": torch.stack(evidence)}

    def learn(self, total: Mapping[str, Tensor], posterior: Posterior, prior: Posterior, layout: Layout) -> Posterior:
        """See `VariationalBayes.learn`; where a trial ends, the better mixture goes on."""
        self._done += 1
        sums = total["sums"]
        if self._trial is not None:
            sums = self._judged(self._trial, total, posterior, prior, layout)
        left = self.passes - self._done
        if self._trial is None and self._done >= self._before and left >= _LEAST:
            proposed = proposal(Sums(*layout.sums(sums)), prior)
            if proposed is not None:
                self._trial = Trial(proposed.posterior(prior), min(left, PASSES))
        if not left:
            self._done = 0
        return prior.updated(sums, layout)

    def restore(self, state: Mapping[str, object]) -> None:
        """See `VariationalBayes.restore`."""
        self._done, self._trial = 0, None

    def _judged(
        self, trial: Trial, total: Mapping[str, Tensor], posterior: Posterior, prior: Posterior, layout: Layout
    ) -> Tensor:
        """The sums of the mixture that goes on; the trial goes on too, or is over."""
        bound, changed = (
            float(evidence - one.divergence(prior))
            for evidence, one in zip(total["evidence"], (posterior, trial.posterior), strict=True)
        )
        here, there = total["sums"].unbind()
        lead = changed - bound
        # Mixtures that differ by rounding, or in their numbers alone, are no better than one another.
        if lead > _ALIKE * abs(bound):
            self._trial = None
            return there
        if trial.hopeless(lead):
            self._trial = None
        else:
            self._trial = Trial(prior.updated(there, layout), trial.left - 1, trial.seen + 1, lead)
        return here


def proposal(sums: Sums, prior: Posterior) -> Sums | None:
    """A change of the components, drawn at random; None where there is nothing to change.

    Merging alone is proposed half the time, if any pair's evidence rises by it. Otherwise a component is split:
    into an empty one, or, where there is none, into the place of one that is merged with another (Ueda, Nakano,
    Ghahramani and Hinton, 2000). Pairs are drawn by the rank of what they gain, components to be split by size.
    """
    pairs = sums.gains(prior)
    rising = [pair for pair in pairs if pair[0] > 0]
    if rising and float(torch.rand(())) < 0.5:
        _, kept, emptied = _by_rank(rising)
        return sums.merged(kept, emptied)
    large = torch.where(sums.counts >= 2, sums.counts, 0.0)
    into = int(sums.counts.argmin())
    if sums.counts[into] >= EMPTY:
        if not pairs:
            return None
        _, kept, into = _by_rank(pairs)
        large[[kept, into]] = 0.0
        sums = sums.merged(kept, into)
    if not large.any():
        return None
    component = drawn(large)
    return sums.split(component, into, sums.axis(component, prior))


def _by_rank(pairs: list[tuple[float, int, int]]) -> tuple[float, int, int]:
    """A pair of a sorted list, each half as probable as the one before it."""
    rank = int(-torch.log2(1 - torch.rand((), dtype=torch.float64)))
    return pairs[min(rank, len(pairs) - 1)]
