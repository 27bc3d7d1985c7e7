"""Tables as text: CSV, TSV and their like, with a header or without, plain or gzip."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pgmgraph.datasets.arrays import room
from pgmgraph.datasets.columns import chosen_columns, one_column
from pgmgraph.datasets.content import opened
from pgmgraph.errors import DataFileError

# The first that splits the first line, and the second line into as many; a space stands for any run of blanks.
DELIMITERS = ("\t", ",", ";", " ")
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null"})

CELLS_AT_ONCE = 1 << 17
BYTES_AT_ONCE = 1 << 20
LONGEST_LINE_BYTES = 1 << 26

Row = tuple[int, list[str]]  # the number of its (last) line, from 1, and its cells


@dataclass(frozen=True)
class Layout:
    """How the cells of a table lie.

    Attributes:
        delimiter: what stands between two cells of a line.
        width: the number of columns.
        names: of the columns, where the first line is a header.
        doubtful: whether that first line, all words above words, may be a row like the others.
        first_line: the number of the first line that is not blank.
    """

    delimiter: str
    width: int
    names: tuple[str, ...] | None
    doubtful: bool
    first_line: int

    def column(self, place: int) -> str:
        """A column as messages call it."""
        return f"column {place}" if self.names is None else f"column {place} ({self.names[place]!r})"


def read_text_table(path: Path, columns: str | None) -> npt.NDArray[np.generic]:
    """The numbers of a table; an empty cell, NA, NaN and null are NaN.

    The lines are counted first, and then read into one array, some thousands of cells at a time.

    Args:
        path: a file of UTF-8.
        columns: the columns that are wanted, as `chosen_columns` reads them.

    Returns:
        (rows, columns) float64.

    Raises:
        DataFileError: text where a number belongs, lines of different lengths, or no table.
    """
    upper = _count_lines(path)
    with _text(path) as text:
        layout = _layout(path)
        places = chosen_columns(columns, layout.names, layout.width, path)
        values = room((upper, len(places)), np.dtype(np.float64), path)
        filled = 0
        rows = _rows(text, layout, path)
        at_once = max(1, CELLS_AT_ONCE // layout.width)
        while piece := list(islice(rows, at_once)):
            values[filled : filled + len(piece)] = _numbers(piece, places, layout, path)
            filled += len(piece)
    return values[:filled]


def read_text_column(path: Path, column: str | None) -> list[str]:
    """The words of one column of a table, without the blanks around them.

    A first line of words above words is taken for a header, unless its word comes again in the column.

    Raises:
        DataFileError: an empty cell, lines of different lengths, several columns and none chosen, or no table.
    """
    _count_lines(path)
    with _text(path) as text:
        layout = _layout(path)
        place = one_column(column, layout.names, layout.width, path)
        words = []
        for line, row in _rows(text, layout, path):
            word = row[place].strip()
            if not word:
                raise DataFileError(
                    f"Expected a label in line {line}, {layout.column(place)} of {path}; got an empty cell. "
                    f"Give every row a label.",
                    path,
                )
            words.append(word)
    if layout.doubtful and layout.names is not None and layout.names[place] in set(words):
        words.insert(0, layout.names[place])
    return words


def _count_lines(path: Path) -> int:
    """No fewer than the table's rows."""
    lines, since = 1, 0
    with opened(path) as content:
        while piece := content.stream.read(BYTES_AT_ONCE):
            found = piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
            lines += found
            since = 0 if found else since + len(piece)
            if since > LONGEST_LINE_BYTES:
                raise DataFileError(
                    f"Expected lines of text in {path}; got one of more than {LONGEST_LINE_BYTES} bytes. "
                    f"Check that this is a table, or save it as .npy.",
                    path,
                )
    return lines


@contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    try:
        with opened(path) as content, io.TextIOWrapper(content.stream, encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"Expected text in UTF-8 in {path}; got bytes that are none ({error.reason}). Save the table as UTF-8.",
            path,
        ) from error
    except csv.Error as error:
        raise DataFileError(
            f"Expected a table of rows and columns in {path}; got lines that make none ({error}). "
            f"Check its quotation marks.",
            path,
        ) from error


def _split(lines: Iterable[str], delimiter: str, *, strict: bool = True) -> Iterator[Row]:
    """The rows that are not blank."""
    if delimiter == " ":
        yield from ((number, cells) for number, line in enumerate(lines, 1) if (cells := line.split()))
        return
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    yield from ((reader.line_num, row) for row in reader if row)


def _layout(path: Path) -> Layout:
    """What the first two lines that are not blank tell."""
    with _text(path) as text:
        heads = list(islice(((number, line) for number, line in enumerate(text, 1) if line.strip()), 2))
    if not heads:
        raise DataFileError(f"Expected a table in {path}; got no line that is not blank. Check the path.", path)
    lines = [line for _, line in heads]
    splits = {delimiter: [row for _, row in _split(lines, delimiter, strict=False)] for delimiter in DELIMITERS}
    able = [delimiter for delimiter, rows in splits.items() if len(rows[0]) > 1]
    even = [delimiter for delimiter in able if len(splits[delimiter][0]) == len(splits[delimiter][-1])]
    delimiter = (even or [delimiter for delimiter in able if delimiter != " "] or [","])[0]
    rows = splits[delimiter]
    first = [cell.strip() for cell in rows[0]]
    second = [cell.strip() for cell in rows[1]] if len(rows) > 1 else []
    header, doubtful = _header(first, second, heads[0][0], path)
    return Layout(delimiter, len(first), tuple(first) if header else None, doubtful, heads[0][0])


def _header(first: list[str], second: list[str], line: int, path: Path) -> tuple[bool, bool]:
    """Whether the first line is a header, and whether that is in doubt."""
    words = [number_in(cell) is None for cell in first]
    if not any(words):
        # What pandas writes above columns that have no names, and above its index.
        places = [str(place) for place in range(len(first))]
        return len(first) > 2 and first in (places, ["", *places[:-1]]), False
    above = [cell for cell, word, below in zip(first, words, second, strict=False) if word and _is_number(below)]
    beside = [cell for cell in first if _is_number(cell)]
    if above and (beside or not any(character.isalpha() for cell in first for character in cell)):
        raise DataFileError(
            f"Expected names or values in line {line} of {path}; got {above[0][:40]!r} above numbers"
            f"{f' and beside {beside[0]!r}' if beside else ''}. Name every column, or mend the value.",
            path,
        )
    return not beside, not beside and not above


def _is_number(cell: str) -> bool:
    return cell not in MISSING and number_in(cell) is not None


def _rows(text: io.TextIOWrapper, layout: Layout, path: Path) -> Iterator[Row]:
    """The rows below the header, each as long as the first line."""
    rows = _split(text, layout.delimiter)
    if layout.names is not None:
        next(rows, None)
    for line, row in rows:
        if len(row) != layout.width:
            raise DataFileError(
                f"Expected {layout.width} cells in line {line} of {path}, as in line {layout.first_line}; "
                f"got {len(row)}. Give every line the same number of cells.",
                path,
            )
        yield line, row


def _numbers(piece: list[Row], places: list[int], layout: Layout, path: Path) -> npt.NDArray[np.float64]:
    cells = [row[place] for _, row in piece for place in places]
    text = "".join(cells)
    # Python reads more as a number than a table should hold: 1_000, and the digits of other scripts.
    if text.isascii() and "_" not in text:
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells)).reshape(len(piece), len(places))
        except ValueError:
            pass  # an empty cell, or a mistake, which the way below names
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        number = number_in(cell)
        if number is None:
            line, place = piece[index // len(places)][0], places[index % len(places)]
            raise DataFileError(
                f"Expected a number in line {line}, {layout.column(place)} of {path}; got {cell[:40]!r}. Choose other "
                f"columns, as in {path}#0,2, or write numbers with a decimal point.",
                path,
            )
        values[index] = number
    return values.reshape(len(piece), len(places))


def number_in(cell: str) -> float | None:
    """What a cell says, NaN where it says nothing, None where it is a word."""
    cell = cell.strip()
    if cell in MISSING:
        return math.nan
    if not cell.isascii() or "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None
