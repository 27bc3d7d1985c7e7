"""Rows are cut into chunks as they come, and what is no row is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from pgmgraph import Observation
from pgmgraph.errors import DataError, ShapeError, UnknownNameError
from pgmgraph.streams import Block
from pgmgraph.streams.chunks import Chunks
from pgmgraph.streams.pieces import dense
from pgmgraph.streams.source import Together
from tests.refusals import refused

PIXELS = {"pixels": Observation.placeholder((2,), torch.uint8, scale=0.1)}
BOTH = {**PIXELS, "words": Observation.placeholder((3,), torch.float32)}


def numbers(n, columns=2):
    return np.arange(n, dtype=np.uint8)[:, None].repeat(columns, 1)


def firsts(chunks, name="pixels"):
    return [dense(chunk[name]).value[:, 0].int().tolist() for chunk in chunks]


@pytest.mark.parametrize("size", [1, 3, 4, 100])
@pytest.mark.parametrize("block", [1, 2, 5, 11])
def test_every_row_comes_once_and_in_order(size, block):
    rows = numbers(11)
    found = firsts(Chunks(PIXELS, np.array_split(rows, range(block, 11, block)), size))
    assert [row for chunk in found for row in chunk] == list(range(11))
    assert [len(chunk) for chunk in found] == [size] * (11 // size) + [11 % size] * (11 % size > 0)


def test_single_rows_blocks_lists_and_mappings_are_alike():
    source: list[Block] = [
        numbers(1)[0].astype(int),
        [[1, 1], [2, 2]],
        numbers(4)[3:].astype(int),
        {"pixels": torch.tensor([[4, 4]])},
    ]
    whole = {"pixels": Observation.placeholder((2,), torch.int64)}
    [found] = firsts(Chunks(whole, source, 10))
    assert found == [0, 1, 2, 3, 4]


def test_integers_are_scaled_and_reals_are_not():
    [chunk] = Chunks(PIXELS, [numbers(3)[2:], np.array([[0.5, 0.5]])], 10)
    torch.testing.assert_close(
        chunk["pixels"].point.to(dtype=torch.float32).value, torch.tensor([[0.2, 0.2], [0.5, 0.5]])
    )


def test_nothing_is_read_before_it_is_asked_for():
    asked: list[int] = []

    def source():
        for number in range(100):
            asked.append(number)
            yield numbers(1)

    chunks = iter(Chunks(PIXELS, source(), 5))
    next(chunks)
    assert len(asked) == 5


def test_a_chunk_waits_no_longer_than_it_is_told_to():
    source: list[Block] = [numbers(2), None, numbers(1), numbers(3), None, None]
    assert [len(chunk) for chunk in firsts(Chunks(PIXELS, source, 4, wait=0.0))] == [2, 4]
    assert [len(chunk) for chunk in firsts(Chunks(PIXELS, source, 4))] == [4, 2]


def test_whoever_waits_may_end_it():
    def heed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Chunks(PIXELS, [None], 4, heed=heed))


def test_rows_that_wait_are_state():
    first = Chunks(PIXELS, [numbers(7)], 5)
    next(iter(first))
    second = Chunks(PIXELS, [numbers(9)[7:]], 5)
    second.restore(first.state())
    assert firsts(second) == [[5, 6, 7, 8]]
    [state] = [one for one in first.state().values() if isinstance(one, dict)]
    assert state["value"].untyped_storage().nbytes() == 4


def test_sparse_rows_are_cut_too():
    words = {"words": BOTH["words"]}
    matrix = sparse.csr_array(np.eye(3, dtype=np.float32))
    found = [dense(chunk["words"]).value for chunk in Chunks(words, [matrix, matrix], 4)]
    assert torch.equal(torch.cat(found), torch.eye(3).repeat(2, 1))


@pytest.mark.parametrize(
    ("block", "kind", "parts"),
    [
        (numbers(2), DataError, ("by the name", "'pixels'")),
        ({"pixels": numbers(2)}, DataError, ("'words'", "missing")),
        ({"pixels": numbers(2), "wrods": numbers(2)}, UnknownNameError, ("Did you mean 'words'",)),
        ({"pixels": numbers(2), "words": numbers(3, 3)}, DataError, ("2 of pixels", "3 of words")),
        ({"pixels": numbers(2), "words": numbers(2)}, ShapeError, ("(3,)", "'words'", "(2, 2)")),
    ],
)
def test_what_is_no_row_is_refused(block, kind, parts):
    with refused(kind, *parts):
        list(Chunks(BOTH, [block], 10))


def test_sources_side_by_side():
    source = Together({"pixels": [numbers(2), None, numbers(4)[2:]], "words": [None, numbers(2, 3), numbers(4, 3)[2:]]})
    assert firsts(Chunks(BOTH, source, 3)) == [[0, 1, 2], [3]]
    with refused(DataError, "'words'", "'pixels'"):
        list(Together({"pixels": [numbers(1), numbers(1)], "words": [numbers(1, 3)]}))
