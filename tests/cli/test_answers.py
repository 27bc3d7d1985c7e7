"""What is said to people and to programs."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pytest

from pgmgraph.cli.answers import Answer, plain_warnings


def test_people_read_on_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer(machine=False)
    answer.say("[bold]x[/bold] :smile:")
    answer.record({"a": 1})
    assert capsys.readouterr().out == "[bold]x[/bold] :smile:\n"


def test_programs_read_json_there_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer(machine=True)
    answer.say("text")
    answer.record({"F": math.nan, "top": (math.inf, 1.5), "path": Path("a/b"), "none": None, "of": {"x": True}})
    out, error = capsys.readouterr()
    assert json.loads(out) == {"F": None, "top": [None, 1.5], "path": "a/b", "none": None, "of": {"x": True}}
    assert error == ""


def test_a_table_stands_in_columns_with_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    Answer(machine=False).table(["run", "F", "accuracy"], [["a", -12345.678, 0.5], ["longer", None, 0.123456]])
    assert capsys.readouterr().out.splitlines() == [
        "run             F  accuracy",
        "a       -12,345.7       0.5",
        "longer          -    0.1235",
    ]


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    Answer(machine=False).table(["run", "F"], [])
    assert capsys.readouterr().out == "run  F\n"


def test_a_warning_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_warnings():
        warnings.simplefilter("always")
        warnings.warn("it is late", stacklevel=1)
    assert capsys.readouterr().err == "Warning: it is late\n"
