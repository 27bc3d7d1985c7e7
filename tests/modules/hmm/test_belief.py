"""The belief about a chain: a categorical one that also knows its sequences."""

import torch

from pgmgraph import Categorical
from pgmgraph_modules.hmm import ChainBelief

BELIEF = ChainBelief(
    torch.softmax(torch.randn(6, 3, dtype=torch.float64), 1),
    torch.randn(6, dtype=torch.float64),
    torch.randn(6, 3, dtype=torch.float64),
    torch.tensor([True, False, True, True, False, False]),
)


def test_it_knows_how_long_its_sequences_are():
    assert BELIEF.lengths().tolist() == [2, 1, 3]
    assert BELIEF[2:].lengths().tolist() == [1, 3]


def test_it_is_a_categorical_belief_row_by_row():
    rows = torch.tensor([4, 0])
    assert isinstance(BELIEF, Categorical)
    for name in BELIEF.per_item:
        assert torch.equal(getattr(BELIEF[rows], name), getattr(BELIEF, name)[rows])
    whole = ChainBelief.concatenate([BELIEF[:2], BELIEF[2:]])
    assert torch.equal(whole.coupling, BELIEF.coupling)


def test_rows_that_nothing_is_known_of_are_sequences_by_themselves():
    spread = BELIEF[:2].spread(torch.tensor([1, 2]), 4)
    assert spread.missing_rows().tolist() == [True, False, False, True]
    assert spread.lengths().tolist() == [1, 2, 1]
    assert torch.equal(spread.probs[1:3], BELIEF.probs[:2])
    assert spread.coupling[0] == 0
