"""Answers: what a command says to people, or to a program that reads it."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console


class Answer:
    """Text for people, or records of JSON for a program, one a line; each on the standard output.

    Args:
        machine: whether a program reads the standard output.

    Attributes:
        machine: as given.
        console: where people read.
    """

    def __init__(self, machine: bool) -> None:
        self.machine = machine
        self.console = Console(quiet=machine, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line or several, for people."""
        self.console.print(text)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Rows in columns, for people; numbers stand to the right."""
        texts = [list(header), *([_cell(value) for value in row] for row in rows)]
        widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
        right = [
            bool(rows) and all(value is None or isinstance(value, int | float) for value in column)
            for column in zip(*rows, strict=True)
        ] or [False] * len(header)
        for row in texts:
            cells = [
                text.rjust(width) if number else text.ljust(width)
                for text, width, number in zip(row, widths, right, strict=True)
            ]
            self.say("  ".join(cells).rstrip())

    def record(self, content: Mapping[str, object]) -> None:
        """A line of JSON, for a program; nothing for people. What is not finite becomes null."""
        if self.machine:
            sys.stdout.write(json.dumps(_plain(content), allow_nan=False) + "\n")
            sys.stdout.flush()  # so that a reader that has gone is noticed here, and not when Python ends


def complain(text: str) -> None:
    """Say what went wrong, on the standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings of the block as a line of text, without the place in the source."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        complain(f"Warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
        case _:
            return str(value)


def _plain(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
