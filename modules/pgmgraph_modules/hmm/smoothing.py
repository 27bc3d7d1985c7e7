"""Forward-backward: what all rows of a sequence tell of each of its states."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential
from pgmgraph_modules.hmm.steps import Steps


@dataclass(frozen=True)
class Smoothed:
    """q(s) of Markov chains by its marginals, its pairs summed over time, and its part of the bound.

    Attributes:
        probs: (N, K), q(s_n).
        coupling: (N,), E_q[log p(s_n | s_n-1) - log q(s_n | s_n-1)], of a first row with its start.
        starts: (K,), sum of q(s_n) over first rows.
        transitions: (K, K), sum of q(s_n-1, s_n) over all others.
    """

    probs: Tensor
    coupling: Tensor
    starts: Tensor
    transitions: Tensor


def smooth(evidence: Tensor, lengths: Tensor, log_start: Tensor, log_transition: Tensor) -> Smoothed:
    """The chains q(s) that are proportional to start, transitions and evidence multiplied; these need no norm.

    Backwards, u_n(j) = evidence_n(j) + log of what comes after it, and b_n(i) = log sum_j exp(transition_ij + u_n(j)).
    Forwards, q(s_n = j | s_n-1 = i) = exp(transition_ij + u_n(j) - b_n(i)). So every probability is made of
    conditional ones that sum to 1, and none underflows. The coupling is E b_n(s_n-1) - E u_n(s_n). Beal (2003),
    section 3.4, has the bound; Rabiner (1989) the recursions.

    Args:
        evidence: (N, K), log-likelihoods of the rows; minus infinity where a state is impossible.
        lengths: (S,) int64, above 0, of the sequences that the rows make up.
        log_start: (K,).
        log_transition: (K, K), from row to column.
    """
    steps = Steps(lengths)
    # What all states have in common is no news; without it, outliers cost no digits.
    ahead = steps.split(evidence - evidence.amax(1, keepdim=True))
    bridges: list[Tensor] = []
    for step in range(len(ahead) - 1, 0, -1):
        bridge = torch.logsumexp(log_transition + ahead[step][:, None], 2)
        ahead[step - 1][: len(bridge)] += bridge - bridge.amax(1, keepdim=True)
        bridges.append(bridge)

    first = log_start + ahead[0]
    probs = [torch.softmax(first, 1)]
    expected = [torch.logsumexp(first, 1)]
    transitions = torch.zeros_like(log_transition)
    for after, bridge in zip(ahead[1:], reversed(bridges), strict=True):
        before = probs[-1][: len(after)]
        pairs = before[:, :, None] * torch.exp(log_transition + after[:, None] - bridge[:, :, None])
        transitions += pairs.sum(0)
        probs.append(pairs.sum(1))
        expected.append((before * bridge).sum(1))
    joined = steps.join(probs)
    coupling = steps.join(expected) - CategoricalPotential(steps.join(ahead)).expectation(Categorical(joined))
    return Smoothed(joined, coupling, probs[0].sum(0), transitions)
