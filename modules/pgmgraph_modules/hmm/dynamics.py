"""Where chains start, and how they go on: Dirichlet posteriors of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph import Categorical
from pgmgraph_modules.conjugate import dirichlet
from pgmgraph_modules.hmm.smoothing import Smoothed, smooth
from pgmgraph_modules.hmm.steps import Steps, reach, step_numbers


@dataclass(frozen=True)
class Dynamics:
    """q(pi) = Dirichlet(start) and, for each state i, q(A_i) = Dirichlet(transition_i). The prior is of the same form.

    Attributes:
        start: (K,).
        transition: (K, K), from row to column.
    """

    start: Tensor
    transition: Tensor

    def expected_log(self) -> tuple[Tensor, Tensor]:
        """E[log pi], (K,), and E[log A], (K, K): their exponentials sum to less than 1."""
        return dirichlet.expected_log(self.start), dirichlet.expected_log(self.transition)

    def mean(self) -> tuple[Tensor, Tensor]:
        """E[pi], (K,), and E[A], (K, K)."""
        return self.start / self.start.sum(), self.transition / self.transition.sum(1, keepdim=True)

    def updated(self, starts: Tensor, transitions: Tensor) -> Dynamics:
        """The posterior given expected counts, (K,) and (K, K)."""
        return Dynamics(self.start + starts, self.transition + transitions)

    def smoothed(self, evidence: Tensor, seen: Tensor, lengths: Tensor) -> Smoothed:
        """What evidence tells of the states, in expectation of the logarithms of the parameters.

        Rows after the last one of their sequence that was seen are no part of it: they are forecast from it. Within
        the chain, E[log A] would let them pull at what is known.

        Args:
            evidence: (N, K), log-likelihoods; anything constant in rows that were not seen.
            seen: (N,) bool.
            lengths: (S,) int64, of the sequences.
        """
        ends = reach(seen, lengths)
        known = step_numbers(lengths) < ends.repeat_interleave(lengths)
        if known.all():
            return smooth(evidence, lengths, *self.expected_log())
        probs, coupling = torch.zeros_like(evidence), torch.zeros_like(evidence[:, 0])
        starts, transitions = torch.zeros_like(self.start), torch.zeros_like(self.transition)
        if known.any():
            part = smooth(evidence[known], ends[ends > 0], *self.expected_log())
            probs[known], coupling[known] = part.probs, part.coupling
            starts, transitions = part.starts, part.transitions
        return Smoothed(self._continued(probs, known, lengths), coupling, starts, transitions)

    def divergence(self, prior: Dynamics) -> Tensor:
        """KL of the posterior from the prior, start and transitions together, ()."""
        of_start = dirichlet.divergence(self.start, prior.start)
        return of_start + dirichlet.divergence(self.transition, prior.transition).sum()

    def forecast(self, probs: Tensor, steps: int) -> Tensor:
        """What follows a state of which `probs`, (..., K), is known: the next `steps` states, (..., steps, K)."""
        _, transition = self.mean()
        ahead = [probs]
        for _ in range(steps):
            ahead.append(ahead[-1] @ transition)
        return torch.stack(ahead[1:], -2) if steps else probs.new_zeros(*probs.shape[:-1], 0, probs.shape[-1])

    def draw(self, n: int, temperature: float) -> Tensor:
        """One chain of n states, (n,) int64, each drawn from its p^(1/temperature) given the one before it."""
        here, transition = self.mean()
        states: list[Tensor] = []
        for _ in range(n):
            states.append(Categorical(here[None]).draw(temperature)[0])
            here = transition[states[-1]]
        return torch.stack(states)

    def _continued(self, probs: Tensor, known: Tensor, lengths: Tensor) -> Tensor:
        """The beliefs with those that are not `known`, (N,) bool, forecast from the row before them."""
        here, transition = self.mean()
        steps = Steps(lengths)
        parts: list[Tensor] = []
        for part, mask in zip(steps.split(probs), steps.split(known), strict=True):
            ahead = here[: len(part)] @ transition if parts else here
            here = torch.where(mask[:, None], part, ahead)
            parts.append(here)
        return steps.join(parts)
