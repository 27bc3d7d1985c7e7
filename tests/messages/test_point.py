"""Points: stored as they are, cast and scaled after slicing."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.messages import Point

CPU = torch.device("cpu")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.sampled_from([torch.float32, torch.float64]))
def test_bytes_become_intensities_when_they_are_cast(values: list[int], dtype: torch.dtype) -> None:
    stored = torch.tensor(values, dtype=torch.uint8)[:, None]
    cast = Point(stored, scale=1 / 255).to(CPU, dtype)
    torch.testing.assert_close(cast.value, torch.tensor(values, dtype=dtype)[:, None] / 255)
    assert cast.scale == 1.0  # scaled once, never twice
    assert cast.to(CPU, dtype) is cast
    assert stored.dtype == torch.uint8
    assert stored[:, 0].tolist() == values


def test_scaling_leaves_stored_floats_alone() -> None:
    stored = torch.tensor([[1.0], [2.0]])
    cast = Point(stored, scale=3.0).to(CPU, torch.float32)
    assert cast.value.flatten().tolist() == [3.0, 6.0]
    assert stored.flatten().tolist() == [1.0, 2.0]


def test_what_lies_in_missing_rows_never_comes_out() -> None:
    stored = torch.tensor([[torch.nan, 1.0], [2.0, 3.0]])
    cast = Point(stored, missing=torch.tensor([True, False])).to(CPU, torch.float64)
    assert cast.value.tolist() == [[0.0, 0.0], [2.0, 3.0]]
    assert stored[0].isnan().any()


def test_any_event_shape() -> None:
    assert Point(torch.zeros(5)).event_shape == ()
    assert Point(torch.zeros(5, 28, 28)).event_shape == (28, 28)
    assert Point(torch.zeros(5, 28, 28))[1:3].event_shape == (28, 28)
    blank = Point(torch.zeros(5, 2, dtype=torch.uint8), scale=0.5).blank(3)
    assert (len(blank), blank.event_shape, blank.scale) == (3, (2,), 0.5)
    assert blank.missing_rows().all()
