"""The most probable path against all paths."""

import pytest
import torch

from pgmgraph_modules.hmm.viterbi import most_probable_path
from tests.modules.hmm.paths import all_paths, log_joint
from tests.modules.hmm.test_smoothing import drawn


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_best_of_all_paths(seed):
    evidence, lengths, log_start, log_transition = drawn(3, [1, 6, 2, 4], seed, scale=1.0)
    evidence[3, 1] = -torch.inf
    found = most_probable_path(evidence, lengths, log_start, log_transition)
    for part, path in zip(evidence.split(lengths.tolist()), found.split(lengths.tolist()), strict=True):
        paths = all_paths(3, len(part))
        best = paths[log_joint(paths, part, log_start, log_transition).argmax()]
        assert torch.equal(path, best)


def test_a_path_takes_no_forbidden_step_where_the_best_states_row_by_row_would():
    log_transition = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]], dtype=torch.float64)
    evidence = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    path = most_probable_path(evidence, torch.tensor([2]), torch.zeros(2, dtype=torch.float64), log_transition)
    assert path.tolist() == [0, 0]
