"""The example runs as it is, and says what it promises."""

import re
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_what_is_drawn_is_found_again_and_the_order_of_counting_helps(printed: Callable[..., str]) -> None:
    scaled, alone, counted = printed("adapters").splitlines()
    found = re.search(r"(\d+) of 100 drawn found again", scaled)
    assert found is not None
    assert int(found[1]) > 90
    accuracies = [float(line.rsplit(" ", 1)[1]) for line in (alone, counted)]
    assert accuracies[0] < accuracies[1]
    assert accuracies[0] > 0.7
