"""Interrupts: a first one is noted, so that learning ends in good order; a second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """How many interrupts have come."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def came(self) -> bool:
        """Whether one has come."""
        return self.count > 0


@contextmanager
def noted(announce: Callable[[], None]) -> Iterator[Interrupts]:
    """Note the first Ctrl-C, or a request to terminate, of a block, and call `announce`; the second raises as ever.

    Python tells signals to the main thread alone: in any other the block runs as it is.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.count += 1
        if interrupts.count > 1:
            raise KeyboardInterrupt
        announce()

    before = {one: signal.signal(one, note) for one in _SIGNALS}
    try:
        yield interrupts
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
