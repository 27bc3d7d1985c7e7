"""Starts and transitions: what follows from counts, and what lies ahead."""

import pytest
import torch

from pgmgraph_modules.hmm.dynamics import Dynamics
from pgmgraph_modules.hmm.smoothing import smooth

DYNAMICS = Dynamics(
    torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64),
    torch.tensor([[1.0, 6.0, 1.0], [0.5, 0.5, 3.0], [9.0, 2.0, 1.0]], dtype=torch.float64),
)


def evidence(n, seed=0):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_forecast_is_a_power_of_the_mean_transitions():
    start, transition = DYNAMICS.mean()
    assert float(start.sum()) == pytest.approx(1)
    ahead = DYNAMICS.forecast(start.expand(2, -1), 4)
    assert ahead.shape == (2, 4, 3)
    torch.testing.assert_close(ahead[1, 3], start @ torch.linalg.matrix_power(transition, 4))
    assert DYNAMICS.forecast(start, 0).shape == (0, 3)


def test_what_nothing_was_seen_of_at_the_end_changes_nothing_before_it_and_is_forecast():
    lengths, ends = torch.tensor([5, 3, 2, 4]), [3, 3, 0, 1]
    values = evidence(14)
    seen = torch.cat([torch.arange(int(n)) < end for n, end in zip(lengths, ends, strict=True)])
    seen[1] = False  # within a sequence time goes on
    values[~seen] = 0.0
    found = DYNAMICS.smoothed(values, seen, lengths)
    kept = torch.cat([torch.arange(int(n)) < end for n, end in zip(lengths, ends, strict=True)])
    short = smooth(values[kept], torch.tensor([3, 3, 1]), *DYNAMICS.expected_log())
    assert torch.equal(found.probs[kept], short.probs)
    assert torch.equal(found.coupling[kept], short.coupling)
    assert torch.equal(found.transitions, short.transitions)
    assert not found.coupling[~kept].any()
    torch.testing.assert_close(found.probs[3:5], DYNAMICS.forecast(found.probs[2], 2))
    start, transition = DYNAMICS.mean()
    torch.testing.assert_close(found.probs[8:10], torch.stack([start, start @ transition]))
    torch.testing.assert_close(found.probs[11:], DYNAMICS.forecast(found.probs[10], 3))


def test_of_sequences_of_which_nothing_was_seen_nothing_is_learnt():
    found = DYNAMICS.smoothed(torch.zeros(5, 3, dtype=torch.float64), torch.zeros(5).bool(), torch.tensor([2, 3]))
    assert not found.starts.any()
    assert not found.transitions.any()
    torch.testing.assert_close(found.probs[2], DYNAMICS.mean()[0])


def test_draws_follow_the_mean_transitions_and_at_zero_their_mode():
    torch.manual_seed(0)
    path = DYNAMICS.draw(4_000, 1.0)
    counts = torch.zeros(3, 3, dtype=torch.float64).index_put_(
        (path[:-1], path[1:]), torch.ones(3_999, dtype=torch.float64), accumulate=True
    )
    shares, expected = counts / counts.sum(1, keepdim=True), DYNAMICS.mean()[1]
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / counts.sum(1, keepdim=True)).sqrt()).all()
    assert DYNAMICS.draw(5, 0.0).tolist() == [2, 0, 1, 2, 0]


def test_counts_add_up_and_move_the_posterior_off_its_prior():
    starts, moves = torch.tensor([1.0, 0.0, 1.0]), torch.ones(3, 3)
    after = DYNAMICS.updated(starts, moves)
    assert torch.equal(after.start, DYNAMICS.start + starts)
    assert torch.equal(after.transition, DYNAMICS.transition + moves)
    assert float(after.divergence(DYNAMICS)) > 0
    assert abs(float(DYNAMICS.divergence(DYNAMICS))) < 1e-12
