"""Tables as text: the layout is told by the content, and every mistake is named with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pgmgraph.datasets import read_values, text_table
from pgmgraph.errors import DataFileError
from tests.datasets.files_made import NUMBERS, WORDS, table, text, write
from tests.refusals import refused

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", " ", "   "])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_layout_is_told_by_the_content(tmp_path: Path, delimiter: str, header: bool, compressed: bool) -> None:
    content = text(NUMBERS, delimiter, delimiter.join("abcd") if header else None)
    source = write(tmp_path, "a.dat", gzip.compress(content) if compressed else content)
    read = read_values(source)
    np.testing.assert_array_equal(read, NUMBERS)
    assert read.dtype == np.float64


@SHARED
@given(values=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2)), cells=st.integers(1, 9))
def test_any_table_survives_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: NDArray[np.float64], cells: int
) -> None:
    monkeypatch.setattr(text_table, "CELLS_AT_ONCE", cells)
    source = write(tmp_path, "a.csv", text(values))
    if values.shape[1] > 2 and np.array_equal(values[0], np.arange(values.shape[1])):
        return  # repr writes 0.0 and pandas 0, so this is read too; but it is no matter of this test
    np.testing.assert_array_equal(read_values(source), values)


def test_what_numpy_and_pandas_write(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.txt", NUMBERS)
    np.testing.assert_array_equal(read_values(tmp_path / "a.txt"), NUMBERS)
    unnamed = table(tmp_path, "0,1,2\n5,6,7\n8,9,9\n")
    np.testing.assert_array_equal(read_values(unnamed), [[5, 6, 7], [8, 9, 9]])
    with_index = table(tmp_path, ",0,1\n0,6,7\n1,9,9\n")
    np.testing.assert_array_equal(read_values(f"{with_index}#1:"), [[6, 7], [9, 9]])


def test_columns_by_name_by_place_and_by_range(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", text(NUMBERS, header="a,b,c,d,species", words=WORDS))
    np.testing.assert_array_equal(read_values(f"{source}#c,a"), NUMBERS[:, [2, 0]])
    np.testing.assert_array_equal(read_values(f"{source}#1,d"), NUMBERS[:, [1, 3]])
    np.testing.assert_array_equal(read_values(f"{source}#:4"), NUMBERS)
    np.testing.assert_array_equal(read_values(f"{source}#b"), NUMBERS[:, [1]])
    with refused(DataFileError, "'specie'", "Did you mean 'species'?"):
        read_values(f"{source}#specie")
    with refused(DataFileError, "'7'", "0 to 4"):
        read_values(f"{source}#7")
    with refused(DataFileError, "5 columns without names"):
        read_values(f"{write(tmp_path, 'b.csv', text(NUMBERS, words=WORDS))}#a")
    twice = table(tmp_path, "a,b,a\n1,2,3\n")
    with refused(DataFileError, "one column 'a'", "places 0, 2"):
        read_values(f"{twice}#a")


def test_windows_lines_quotes_and_a_mark_of_byte_order(tmp_path: Path) -> None:
    source = table(tmp_path, '\ufeff"x, mm", "y"\r\n\r\n"1",2\r\n3,"4"\r\n')
    np.testing.assert_array_equal(read_values(source), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(read_values(f"{source}#y"), [[2], [4]])


def test_what_is_missing_is_not_a_number(tmp_path: Path) -> None:
    read = read_values(table(tmp_path, "a,b\n1,\nNA,4\n nan ,null\n"))
    np.testing.assert_array_equal(read, [[1, np.nan], [np.nan, 4], [np.nan, np.nan]])


@pytest.mark.parametrize("cell", ["high", "1_000", "٣", "1.5.2", "0x10", "1 000"])
def test_a_word_among_numbers_is_named_with_its_place(tmp_path: Path, cell: str) -> None:
    source = table(tmp_path, f"height,weight\n1,2\n\n3,{cell}\n5,6\n")
    with refused(DataFileError, "line 4", "column 1 ('weight')", repr(cell), str(source)):
        read_values(source)


def test_a_ragged_line_is_named(tmp_path: Path) -> None:
    source = table(tmp_path, "1,2,3\n4,5,6\n7,8\n")
    with refused(DataFileError, "Expected 3 cells in line 3", "as in line 1", "got 2"):
        read_values(source)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"\n \n\n", "no line that is not blank"),
        (b"a,b\n", "at least one row"),
        ("caf\xe9,2\n1,2\n".encode("latin-1"), "UTF-8"),
        (b'1,2\n"3,4\n5,6\n', "quotation marks"),
        (b"1,2\n" + b"9" * 200_000 + b",2\n", "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with refused(DataFileError, str(tmp_path), said):
        read_values(write(tmp_path, "a.csv", content))


def test_a_bomb_of_one_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_table, "LONGEST_LINE_BYTES", 1 << 20)
    with refused(DataFileError, "more than 1048576 bytes"):
        read_values(write(tmp_path, "a.csv.gz", gzip.compress(b"1" * (3 << 20))))


def test_a_first_line_of_names_and_numbers_is_not_guessed_at(tmp_path: Path) -> None:
    with refused(DataFileError, "line 1", "'1O0'", "above numbers"):
        read_values(table(tmp_path, "1O0,3\n2,4\n"))
    with refused(DataFileError, "line 1", "'?'"):
        read_values(table(tmp_path, "?,?\n2,4\n"))


def test_numbers_beside_words_are_chosen_without_a_header(tmp_path: Path) -> None:
    source = write(tmp_path, "iris.csv", text(NUMBERS, words=WORDS))
    np.testing.assert_array_equal(read_values(f"{source}#:4"), NUMBERS)
    with refused(DataFileError, "line 1", "column 4", "'fig'"):
        read_values(source)
