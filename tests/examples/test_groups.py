"""The example of patches runs, and topics of whole images come out of the words of their patches."""

import re
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_patches_are_pooled_into_images(printed: Callable[..., str]) -> None:
    out = printed("groups")
    assert "37500 patches of 1500 images" in out
    [accuracy] = re.findall(r"largest topic ([.\d]+)", out)
    assert float(accuracy) > 0.3  # a tenth by chance
