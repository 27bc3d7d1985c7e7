"""Columns are chosen by name, by place and by range, a name before a place."""

from pathlib import Path

import pytest

from pgmgraph.datasets.columns import chosen_columns, one_column
from pgmgraph.errors import DataFileError
from tests.refusals import refused

PATH = Path("table.csv")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, [0, 1, 2, 3]),
        ("b", [1]),
        ("c, b", [2, 1]),
        ("3", [3]),
        ("2", [0]),
        ("1:", [1, 2, 3]),
        (":2", [0, 1]),
        ("1:3,b", [1, 2, 1]),
    ],
)
def test_what_is_asked_for_is_found(asked: str | None, found: list[int]) -> None:
    assert chosen_columns(asked, ["2", "b", "c", "d"], 4, PATH) == found


@pytest.mark.parametrize("asked", ["", "e", "4", "9" * 30, "-1", "5:", "b,", "a:b", "1:2:3"])
def test_what_is_not_there_is_refused(asked: str) -> None:
    with refused(DataFileError, "table.csv", "Expected a column"):
        chosen_columns(asked, ["a", "b", "c", "d"], 4, PATH)


def test_one_column_is_one() -> None:
    assert one_column(None, None, 1, PATH) == 0
    with refused(DataFileError, "got 2: a, b", "table.csv#COLUMN"):
        one_column(None, ["a", "b"], 2, PATH)
