"""One graph that has learnt, for all tests that only look at it."""

from __future__ import annotations

import pytest

from tests.report.stories import Fitted, learn


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    """See `learn`."""
    return learn()
