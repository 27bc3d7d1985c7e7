"""The examples of stacked topic models, on the data that they draw where there are none."""

from collections.abc import Callable

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("mlda_objects", "sound from the others"), ("lda_chain", "chain [")])
def test_it_runs_on_data_of_its_own(name: str, said: str, printed: Callable[..., str]) -> None:
    out = printed(name)
    assert "synthetic" in out
    assert said in out
