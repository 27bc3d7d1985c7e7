"""Sequences laid out step by step."""

import torch

from pgmgraph_modules.hmm.steps import Steps, reach, step_numbers

LENGTHS = torch.tensor([2, 4, 1])


def test_those_that_go_on_are_the_first_rows_of_the_step_before():
    rows = torch.arange(7)  # rows 0 1, 2 3 4 5 and 6 are the sequences
    parts = [part.tolist() for part in Steps(LENGTHS).split(rows)]
    assert parts == [[2, 0, 6], [3, 1], [4], [5]]


def test_joining_undoes_splitting():
    rows = torch.randn(7, 3)
    steps = Steps(LENGTHS)
    assert torch.equal(steps.join(steps.split(rows)), rows)


def test_steps_are_counted_in_each_sequence():
    assert step_numbers(LENGTHS).tolist() == [0, 1, 0, 1, 2, 3, 0]


def test_a_sequence_reaches_to_the_last_row_that_was_seen():
    seen = torch.tensor([True, False, False, True, True, False, False])
    assert reach(seen, LENGTHS).tolist() == [1, 3, 0]
