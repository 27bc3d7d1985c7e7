"""The example of several modalities runs without its data set, and tells one modality from the other."""

from collections.abc import Callable

import pytest


@pytest.mark.filterwarnings("ignore:digit. evidence is counted")
def test_images_and_words_are_sorted_together_and_each_tells_the_digit(printed: Callable[..., str]) -> None:
    lines = [line for line in printed("multimodal_digits").splitlines() if " accuracy " in line]
    found = {line[:15].strip(): float(line.split()[-1]) for line in lines}
    assert found.keys() == {"together", "from pixels", "from heard"}
    assert min(found.values()) > 0.95
