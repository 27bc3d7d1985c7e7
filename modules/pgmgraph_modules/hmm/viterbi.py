"""The most probable path of states."""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph_modules.hmm.steps import Steps


def most_probable_path(evidence: Tensor, lengths: Tensor, log_start: Tensor, log_transition: Tensor) -> Tensor:
    """The states that together make start, transitions and evidence largest, (N,) int64. Viterbi (1967), in logs.

    Args:
        evidence: (N, K), log-likelihoods of the rows.
        lengths: (S,) int64, above 0, of the sequences that the rows make up.
        log_start: (K,).
        log_transition: (K, K), from row to column.
    """
    steps = Steps(lengths)
    pieces = steps.split(evidence)
    scores, came_from = log_start + pieces[0], []
    for piece in pieces[1:]:
        best, origin = (scores[: len(piece), :, None] + log_transition).max(1)
        scores = torch.cat([best + piece, scores[len(piece) :]])  # a sequence that has ended keeps its last score
        came_from.append(origin)
    states = scores.argmax(1)
    path = []
    for origin in reversed(came_from):
        last = states[: len(origin)].clone()
        path.append(last)
        states[: len(origin)] = origin.gather(1, last[:, None])[:, 0]
    return steps.join([states, *reversed(path)])
