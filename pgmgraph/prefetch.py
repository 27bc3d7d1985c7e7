"""Prefetching: what comes next is made in a thread while the last is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What jobs return, in their order; each runs in a thread while whoever asked works on what came before.

    The jobs are taken from `jobs` in the caller's thread, one ahead. They must use no randomness and change nothing.
    What one raises is raised where its result would have come. The thread ends with the iterator, also where that is
    not gone through to its end.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="pgmgraph-prefetch") as reader:
        before: Future[T] | None = None
        for job in jobs:
            coming = reader.submit(job)
            if before is not None:
                yield before.result()
            before = coming
        if before is not None:
            yield before.result()
