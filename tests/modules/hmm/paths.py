"""Every path of states through short sequences, and what can be summed over them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from pgmgraph_modules.hmm.dynamics import Dynamics


def all_paths(states: int, length: int) -> Tensor:
    """(K^T, T) int64."""
    return torch.tensor(list(itertools.product(range(states), repeat=length)))


def log_joint(paths: Tensor, evidence: Tensor, log_start: Tensor, log_transition: Tensor) -> Tensor:
    """Start, transitions and evidence of each path of one sequence multiplied, in logs."""
    of_moves = log_transition[paths[:, :-1], paths[:, 1:]].sum(1)
    return log_start[paths[:, 0]] + of_moves + evidence[torch.arange(paths.shape[1]), paths].sum(1)


def counts(paths: Tensor, lengths: list[int], states: int) -> tuple[Tensor, Tensor]:
    """How often each path over all sequences starts in a state, (P, K), and goes from one to another, (P, K, K)."""
    one_hot = torch.nn.functional.one_hot(paths, states).double()
    starts, moves = one_hot.new_zeros(len(paths), states), one_hot.new_zeros(len(paths), states, states)
    for sequence in one_hot.split(lengths, 1):
        starts += sequence[:, 0]
        moves += torch.einsum("pti,ptj->pij", sequence[:, :-1], sequence[:, 1:])
    return starts, moves


def log_probability(paths: Tensor, lengths: list[int], prior: Dynamics) -> Tensor:
    """log p(path) with the parameters integrated out: Dirichlet-multinomial in starts and in each state's moves."""
    starts, moves = counts(paths, lengths, len(prior.start))
    return _dirichlet_multinomial(starts, prior.start) + _dirichlet_multinomial(moves, prior.transition).sum(1)


def _dirichlet_multinomial(numbers: Tensor, concentration: Tensor) -> Tensor:
    total = concentration.sum(-1)
    of_total = torch.lgamma(total) - torch.lgamma(total + numbers.sum(-1))
    return of_total + (torch.lgamma(concentration + numbers) - torch.lgamma(concentration)).sum(-1)
