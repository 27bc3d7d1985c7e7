"""One graph that has learnt, for all tests that only look at it."""

from __future__ import annotations

import pytest

from pgmgraph.report import Story
from pgmgraph.report.page import Page
from pgmgraph.report.report import report_page
from tests.report.stories import Fitted, learn, whole_story


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    """See `learn`."""
    return learn()


@pytest.fixture(scope="session")
def story(fitted: Fitted) -> Story:
    """See `whole_story`."""
    return whole_story(fitted)


@pytest.fixture(scope="session")
def page(story: Story) -> Page:
    """The report of it."""
    return report_page(story)
