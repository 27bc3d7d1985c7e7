"""Numbers read as one writes them."""

from __future__ import annotations

import math

import pytest

from pgmgraph.report.wording import counted, duration, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (12.0, "12"),
        (0.5, "0.500"),
        (-4.4804, "−4.480"),
        (70.61, "70.6"),
        (-3322600.4, "−3,322,600"),
        (0.0001234, "0.000123"),
        (1e20, "1e+20"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0012, "1.2 ms"),
        (0.451, "0.45 s"),
        (12.4, "12 s"),
        (59.9, "1 min"),
        (60.0, "1 min"),
        (200.0, "3 min 20 s"),
        (3600.0, "1 h"),
        (3599.9, "1 h"),
        (7501.0, "2 h 5 min"),
        (math.inf, "–"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_shares_and_counts() -> None:
    assert [percent(share) for share in (0.0, 0.021, 0.4, 1.0)] == ["0 %", "2.1 %", "40 %", "100 %"]
    assert [counted(count, "round") for count in (0, 1, 2000)] == ["0 rounds", "1 round", "2,000 rounds"]
