"""What is made ahead comes in order, with its errors, and leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import pytest

from pgmgraph.prefetch import prefetched


def job(number: int, log: list[str]) -> int:
    log.append(f"made {number} in {'main' if threading.current_thread() is threading.main_thread() else 'another'}")
    return number


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("pgmgraph-prefetch")]


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_results_come_in_order_from_another_thread(n: int) -> None:
    log: list[str] = []
    assert list(prefetched(partial(job, number, log) for number in range(n))) == list(range(n))
    assert log == [f"made {number} in another" for number in range(n)]
    assert threads() == []


def test_the_next_is_made_while_the_last_is_worked_on() -> None:
    made = [threading.Event() for _ in range(3)]
    results = prefetched(event.set for event in made)
    next(results)
    assert made[1].wait(5)  # although nobody asked for it
    assert not made[2].is_set()
    results.close()  # type: ignore[attr-defined]  # a generator


def test_jobs_are_taken_in_the_thread_of_whoever_asks() -> None:
    seen: list[bool] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(3):
            seen.append(threading.current_thread() is threading.main_thread())
            yield partial(job, number, [])

    assert list(prefetched(jobs())) == [0, 1, 2]
    assert seen == [True] * 3


def test_an_error_comes_where_the_result_would_have_come() -> None:
    def broken() -> int:
        raise OSError("the disk is gone")

    results = prefetched([lambda: 1, broken, lambda: 3])
    assert next(results) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert threads() == []


def test_no_thread_is_left_where_nobody_asks_on() -> None:
    results = prefetched(partial(job, number, []) for number in range(100))
    assert list(islice(results, 2)) == [0, 1]
    assert len(threads()) == 1
    del results
    assert threads() == []
