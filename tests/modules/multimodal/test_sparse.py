"""Sparse counts give what dense ones give."""

import torch

from pgmgraph import Gaussian, Point
from pgmgraph_modules.multimodal.sparse import SparseCounts, sparse
from pgmgraph_modules.multimodal.tables import Words

torch.manual_seed(0)
COUNTS = torch.randint(1, 4, (6, 20)).double() * (torch.rand(6, 20) < 0.1)
MISSING = torch.tensor([False, False, True, False, False, False])


def test_they_say_and_teach_what_dense_counts_do():
    words = Words(1 + torch.rand(3, 20).double(), 1.0, 5.0)
    probs = torch.softmax(torch.randn(6, 3).double(), 1)
    for missing in (None, MISSING):
        dense = Point(COUNTS, missing=missing)
        kept = sparse(dense)
        assert isinstance(kept, SparseCounts)
        torch.testing.assert_close(words.log_likelihoods(kept), words.log_likelihoods(dense))
        torch.testing.assert_close(words.sums(kept, probs), words.sums(dense, probs))


def test_full_counts_and_other_messages_stay_as_they_are():
    full = Point(COUNTS + 1)
    vectors = Gaussian(COUNTS, COUNTS + 1)
    assert sparse(full) is full
    assert sparse(vectors) is vectors
