"""A queue as a source."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from pgmgraph.errors import DataError
from pgmgraph.streams.source import Block


class QueueSource:
    """What others put into a queue, of `queue`, `multiprocessing` or anything with a `get(timeout=...)` alike.

    Give the queue a size, `queue.Queue(maxsize=100)`: who puts faster than is learnt then waits, and memory is bounded.

    Args:
        queue: where blocks come from.
        end: what is put in to say that nothing more comes.
        timeout: how many seconds without a block are an error; by default it waits for ever.
        poll: every how many seconds it says that there is nothing, so that an interrupt is heard.

    Raises:
        DataError: while it is read: nothing came for `timeout` seconds.
    """

    def __init__(
        self, queue: queue.Queue[Block], *, end: object = None, timeout: float | None = None, poll: float = 0.2
    ) -> None:
        self._queue = queue
        self._end = end
        self._timeout = timeout
        self._poll = poll

    def __iter__(self) -> Iterator[Block]:
        waited = 0.0
        while True:
            try:
                block = self._queue.get(timeout=self._poll)
            except queue.Empty:
                waited += self._poll
                if self._timeout is not None and waited >= self._timeout:
                    raise DataError(
                        f"Expected a block, or {self._end!r} for the end, within {self._timeout:g} s; the queue stayed "
                        "empty. Put the end into it when all has come."
                    ) from None
                yield None
                continue
            if block is self._end:
                return
            waited = 0.0
            yield block
