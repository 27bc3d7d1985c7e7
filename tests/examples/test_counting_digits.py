"""The example in counting order runs without its data set, and foretells what comes next."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:digit. evidence is counted")
def test_digits_are_sorted_and_the_next_ones_foretold(printed: Callable[..., str], tmp_path: Path) -> None:
    out = printed("counting_digits")
    assert "after 9 come 0 1 2 3 4 5 6 7 8 9" in out
    [path_accuracy] = re.findall(r"most probable path ([.\d]+)", out)
    assert float(path_accuracy) > 0.95
    assert (tmp_path / "out" / "counting_digits.png").stat().st_size > 10_000
