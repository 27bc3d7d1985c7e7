"""Counts of a plate that is gone through many times, most of them zero."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pgmgraph import Message, Point

_DENSE_FROM = 0.25


@dataclass(frozen=True, eq=False)
class SparseCounts(Point):
    """Counts of which only those that are not zero are kept, by item in `value`, (N, V), and by word.

    Attributes:
        by_word: (V, N), the same counts.
    """

    by_word: Tensor = field(kw_only=True)


def sparse(message: Message) -> Message:
    """Counts that are mostly zero as `SparseCounts`, missing rows as zeros; any other message as it is."""
    if not isinstance(message, Point):
        return message
    counts = message.value.masked_fill(message.missing_rows()[:, None], 0.0)
    if float(torch.count_nonzero(counts)) > _DENSE_FROM * counts.numel():
        return message
    with warnings.catch_warnings():
        # torch says once that the layout is in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return SparseCounts(counts.to_sparse_csr(), by_word=counts.T.contiguous().to_sparse_csr())
