"""Where a hidden Markov model with emissions of its own starts: partitions of the rows, each learnt to a standstill."""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.centres import canonical_order, centres
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.hmm.dynamics import Dynamics

_ITERATIONS = 50
_STANDSTILL = 1e-5
_ALIKE = 1e-6


def best_start(
    x: Gaussian, lengths: Tensor, prior: Dynamics, emissions: Emissions, starts: int
) -> tuple[Dynamics, Emissions, float]:
    """The best of several starts by its own bound.

    Half of them (the first, the third, ...) are partitions by k-means, the others by the nearest of k-means++
    centres, both blind to time; all then go through variational Bayes.

    Args:
        x: the beliefs about all rows.
        lengths: (S,) int64, of the sequences.
        prior: of start and transitions.
        emissions: at their prior.
        starts: how many.

    Returns:
        The posteriors after the best start, and its bound.
    """
    seen = ~x.missing_rows()
    means = x.mean[seen] - emissions.layout.centre
    points = means[canonical_order(means)].cpu().numpy()
    best: tuple[Dynamics, Emissions, float] | None = None
    for number in range(starts):
        seed = int(torch.randint(2**31, ()))
        located = centres(points, len(prior.start), seed, refine=number % 2 == 0).to(means)
        labels = torch.cdist(x.mean - emissions.layout.centre, located).argmin(1)
        hard = torch.nn.functional.one_hot(labels, len(located)).to(means)
        found = _converged(x, lengths, prior, emissions.updated(emissions.sums(x, hard)))
        # Starts that end alike differ in rounding and in their states' numbers: the first one counts.
        if best is None or found[2] > best[2] + _ALIKE * abs(best[2]):
            best = found
    assert best is not None
    return best


def _converged(
    x: Gaussian, lengths: Tensor, prior: Dynamics, emissions: Emissions
) -> tuple[Dynamics, Emissions, float]:
    dynamics, seen, last = prior, ~x.missing_rows(), -float("inf")
    for _ in range(_ITERATIONS):
        evidence = emissions.log_likelihoods(x)
        states = dynamics.smoothed(evidence, seen, lengths)
        divergence = dynamics.divergence(prior) + emissions.divergence()
        bound = float(states.coupling.sum() + (states.probs * evidence).sum() - divergence)
        if bound - last <= _STANDSTILL * abs(bound):
            return dynamics, emissions, bound
        last = bound
        dynamics = prior.updated(states.starts, states.transitions)
        emissions = emissions.updated(emissions.sums(x, states.probs))
    return dynamics, emissions, last
