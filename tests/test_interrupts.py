"""Interrupts: the first is noted, the second raises, and handlers are put back."""

import os
import signal
import threading
from contextlib import suppress

import pytest

from pgmgraph.interrupts import noted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_is_noted_and_announced_once(number):
    announced = []
    with noted(lambda: announced.append("now")) as interrupts:
        assert not interrupts.came
        send(number)
        assert interrupts.came
        assert interrupts.count == 1
    assert announced == ["now"]


@pytest.mark.parametrize(("first", "second"), [(one, other) for one in SIGNALS for other in SIGNALS])
def test_the_second_leaves_at_once(first, second):
    announced = []
    with pytest.raises(KeyboardInterrupt), noted(lambda: announced.append("now")) as interrupts:  # noqa: PT012
        send(first)
        send(second)
        pytest.fail("it went on")
    assert interrupts.count == 2
    assert announced == ["now"]


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt])
def test_whoever_listened_before_listens_again(error):
    heard = []
    before = {one: signal.signal(one, lambda number, frame: heard.append(number)) for one in SIGNALS}
    try:
        with suppress(KeyError, KeyboardInterrupt), noted(lambda: None):
            if error:
                raise error
        for one in SIGNALS:
            send(one)
        assert heard == list(SIGNALS)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_one_inside_another_is_told_alone():
    with noted(lambda: None) as outer:
        with noted(lambda: None) as inner:
            send(signal.SIGINT)
        send(signal.SIGINT)
    assert (outer.count, inner.count) == (1, 1)


def test_other_threads_run_as_they_are():
    handlers, counts = [], []

    def work():
        with noted(lambda: None) as interrupts:
            handlers.append(signal.getsignal(signal.SIGINT))
            counts.append(interrupts.count)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]
    assert counts == [0]
