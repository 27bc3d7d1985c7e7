"""What travels comes out as it went in; parts of a plate cover it."""

from __future__ import annotations

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph.executors.ray.packing import Layout, Letter, Slot, laid_out, opened, packed, split
from pgmgraph.messages import Gaussian, Message, Point
from pgmgraph.plates import Parcel
from tests.messages.strategies import messages


@given(messages())
def test_messages_come_out_as_they_went_in(drawn: list[Message]) -> None:
    for message in drawn:
        out = packed(message).opened()
        assert type(out) is type(message)
        for name in (*message.per_item, *message.shared):
            before, after = getattr(message, name), getattr(out, name)
            assert before.dtype == after.dtype
            assert torch.equal(before.nan_to_num(), after.nan_to_num())
        assert (out.missing is None) == (message.missing is None)
        assert torch.equal(out.missing_rows(), message.missing_rows())


def test_what_is_no_tensor_travels_too() -> None:
    out = packed(Point(torch.arange(6, dtype=torch.uint8).reshape(3, 2), scale=1 / 255)).opened()
    assert isinstance(out, Point)
    assert (out.scale, out.value.dtype) == (1 / 255, torch.uint8)


@given(items=st.integers(1, 60), parts=st.integers(1, 9))
def test_parts_cover_the_plate_in_order(items: int, parts: int) -> None:
    rows = split(items, parts)
    assert len(rows) == parts
    assert [number for begin, end in rows for number in range(begin, end)] == list(range(items))
    assert max(end - begin for begin, end in rows) - min(end - begin for begin, end in rows) <= 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_sequences_stay_whole(lengths: list[int], parts: int) -> None:
    assume(parts <= len(lengths))
    rows = split(sum(lengths), parts, torch.tensor(lengths))
    assert all(begin < end for begin, end in rows)
    ends = {0, *torch.tensor(lengths).cumsum(0).tolist()}
    assert {mark for both in rows for mark in both} <= ends
    assert [number for begin, end in rows for number in range(begin, end)] == list(range(sum(lengths)))


def test_mail_is_put_together_from_letters() -> None:
    whole = torch.arange(10.0)[:, None]
    first, second = Point(whole[:6]), Point(whole[6:])
    belief = Gaussian(whole[6:], torch.ones(4, 1))
    letters = [Letter(packed(first)), Letter(packed(second), packed(belief))]
    mail: Layout = {
        "x": Slot((0, 1), ((2, 6), None), believed=False, wanted=Point, via=None),
        "z": Slot((1,), (None,), believed=True, wanted=None, via=None),
        "y": {"a": Slot((0,), (None,), believed=True, wanted=Point, via="mean")},
        "none": None,
    }
    out = opened(mail, letters)
    assert isinstance(out["x"], Parcel)
    value: Tensor = out["x"].message.value  # type: ignore[attr-defined]
    assert torch.equal(value, whole[2:])
    assert isinstance(out["z"], Parcel)
    assert isinstance(out["z"].message, Gaussian), "the belief was meant"
    assert isinstance(out["y"], dict)
    assert isinstance(out["y"]["a"].message, Point), "there is no other belief than the message"
    assert out["y"]["a"].via == "mean"
    assert out["none"] is None


def test_every_parcel_of_a_call_gets_its_slot() -> None:
    parcel = Parcel(Point(torch.zeros(2, 1)), Point)
    slot = Slot((0,), (None,), believed=False, wanted=Point, via=None)
    layout = laid_out({"x": parcel, "y": {"k": parcel}, "z": (parcel, parcel), "w": None}, lambda one: slot)
    assert layout == {"x": slot, "y": {"k": slot}, "z": (slot, slot), "w": None}
