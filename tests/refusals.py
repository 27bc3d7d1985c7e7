"""What is refused, and what the refusal says: an error is tested by reading it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

E = TypeVar("E", bound=BaseException)


@contextmanager
def refused(kind: type[E], *parts: str) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect exactly this kind of error, with every part in its message."""
    with pytest.raises(kind) as caught:
        yield caught
    assert type(caught.value) is kind
    text = str(caught.value)
    lacking = [part for part in parts if part not in text]
    assert not lacking, f"Expected {lacking} in: {text}"
