"""A queue: others fill it while one learns, wait when it is full, and say when nothing more comes."""

import queue
import threading

import pytest
import torch

from pgmgraph import ModelGraph, Observation
from pgmgraph.errors import DataError
from pgmgraph.streams import Block, QueueSource, fit_stream
from tests.refusals import refused
from tests.toys import Centre

ROWS = torch.randn(120, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_what_a_thread_puts_in_is_learnt_and_it_waits_while_the_queue_is_full() -> None:
    pipe: queue.Queue[Block] = queue.Queue(maxsize=2)
    longest = 0

    def fill() -> None:
        nonlocal longest
        for rows in ROWS.split(10):
            pipe.put(rows)
            longest = max(longest, pipe.qsize())
        pipe.put(None)

    centre = Centre()
    graph = ModelGraph(seen=Observation.placeholder((2,), torch.float64), centre=centre)
    graph.connect(graph.observations["seen"].value, centre.x)
    thread = threading.Thread(target=fill)
    thread.start()
    learnt = list(fit_stream(graph, QueueSource(pipe, poll=0.01), chunk=25))
    thread.join()
    assert learnt[-1].total == 120
    assert longest <= 2
    assert centre.variance == pytest.approx(1 / (1 / 100 + 120), rel=1e-12)


def test_an_end_of_ones_own() -> None:
    pipe: queue.Queue[Block] = queue.Queue()
    end: Block = []
    for block in ([1.0], end, [2.0]):
        pipe.put(block)
    assert list(QueueSource(pipe, end=end, poll=0.01)) == [[1.0]]


def test_while_nothing_comes_it_says_so_and_then_gives_up() -> None:
    blocks = iter(QueueSource(queue.Queue(), poll=0.01, timeout=0.03))
    assert next(blocks) is None
    with refused(DataError, "0.03 s", "stayed empty"):
        for _ in range(10):
            next(blocks)
