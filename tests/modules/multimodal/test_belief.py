"""The belief about a class below: a categorical one that also knows what F needs."""

import torch

from pgmgraph import Categorical, ModelGraph, Observation, fit
from pgmgraph_modules.multimodal import JointBelief, MultimodalMixture
from tests.toys import Symbols

BELIEF = JointBelief(
    torch.softmax(torch.randn(5, 3, dtype=torch.float64), 1),
    torch.randn(5, 2, dtype=torch.float64),
    torch.randn(5, dtype=torch.float64),
)


def test_it_is_a_categorical_belief_row_by_row():
    rows = torch.tensor([4, 0])
    assert isinstance(BELIEF, Categorical)
    for name in BELIEF.per_item:
        assert torch.equal(getattr(BELIEF[rows], name), getattr(BELIEF, name)[rows])


def test_rows_that_nothing_is_known_of_have_no_terms():
    spread = BELIEF[:2].spread(torch.tensor([1, 2]), 4)
    assert spread.missing_rows().tolist() == [True, False, False, True]
    assert torch.equal(spread.evidence[1:3], BELIEF.evidence[:2])
    assert not spread.evidence[0].any()
    assert spread.counted[0] == 0
    assert torch.equal(spread.probs[0], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_a_run_goes_on_from_it_bit_for_bit(tmp_path):
    def graph():
        symbols, mixture = Symbols(3, 4), MultimodalMixture(2, starts=1, cooling=5)
        graph = ModelGraph(seen=Observation(torch.arange(12)[:, None] % 4), symbols=symbols, mixture=mixture)
        graph.connect(graph.observations["seen"].value, symbols.x)
        graph.connect(symbols.c, mixture.x["symbol"])
        return graph

    whole = fit(graph(), rounds=4)
    fit(graph(), rounds=2, run_dir=tmp_path)
    again = fit(graph(), rounds=4, run_dir=tmp_path, resume=True)
    assert again.history["F"] == whole.history["F"]
    assert torch.equal(again.beliefs["symbols.c"].probs, whole.beliefs["symbols.c"].probs)
    assert isinstance(again.beliefs["symbols.c"], JointBelief)
