"""Draws from a topic model, at a temperature T: each variable from p^(1 / T), normalised, given the one above it."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_proportions(topics: Tensor, k: int, prior: float, temperature: float) -> Tensor:
    """Theta ~ Dirichlet(prior + e_z) for each topic z, (n,) int64; (n, K).

    At temperature T that is Dirichlet((prior + e_z - 1) / T + 1). Where this has a concentration that is not positive,
    all of the density lies at the corner of z, and so does the draw; at 0 it is the mode.
    """
    corner = torch.nn.functional.one_hot(topics, k).double()
    above_one = prior - 1 + corner
    if temperature == 0:
        return above_one / above_one.sum(1, keepdim=True) if prior > 1 else corner
    if (prior - 1) / temperature + 1 <= 0:
        return corner
    # Through logarithms, since a draw of a small concentration underflows.
    concentration = above_one / temperature + 1
    larger = torch.distributions.Gamma(concentration + 1, torch.ones_like(concentration), validate_args=False).sample()
    return torch.softmax(larger.log() - torch.empty_like(larger).exponential_() / concentration, 1)


def tempered(probs: Tensor, temperature: float) -> Tensor:
    """p^(1 / T), normalised, for each row; all on the most probable at 0."""
    if temperature == 0:
        return torch.nn.functional.one_hot(probs.argmax(1), probs.shape[1]).to(probs)
    return torch.softmax(probs.log() / temperature, 1)


def drawn_counts(words: Tensor, length: int) -> Tensor:
    """How often each word occurs in a document of the given length, (n, V), with the words' probabilities."""
    tokens = torch.multinomial(words, length, replacement=True) if length else words.new_zeros(len(words), 0).long()
    return torch.zeros_like(words).scatter_add_(1, tokens, torch.ones_like(tokens, dtype=words.dtype))
