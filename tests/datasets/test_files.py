"""What is read from a file of any kind is what was written, and every mistake is named."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmgraph.datasets import read_labels, read_values
from pgmgraph.datasets.content import GZIP_MAGIC
from pgmgraph.datasets.files import IMAGE_MAGICS
from pgmgraph.datasets.npy import NPY_MAGIC, ZIP_MAGICS
from pgmgraph.datasets.parquet import PARQUET_MAGIC
from pgmgraph.errors import DataFileError
from tests.datasets import files_made
from tests.datasets.files_made import BYTES, CODES, NUMBERS, WORDS, image, npy, parquet, table, text, write
from tests.refusals import refused

BEGINNINGS = (b"", b"1,2\n", b"a\n", NPY_MAGIC, *ZIP_MAGICS, PARQUET_MAGIC, GZIP_MAGIC, b"\0\0\x08\x01", *IMAGE_MAGICS)


def test_a_name_with_a_mark_goes_before_a_part(tmp_path: Path) -> None:
    source = write(tmp_path, "run#1.npy", npy(NUMBERS))
    np.testing.assert_array_equal(read_values(str(source)), NUMBERS)


def test_the_kind_is_told_by_the_content(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_values(write(tmp_path, "a.csv", npy(NUMBERS))), NUMBERS)
    np.testing.assert_array_equal(read_values(write(tmp_path, "a.npy", text(NUMBERS))), NUMBERS)
    np.testing.assert_array_equal(read_values(table(tmp_path, "BMI,age\n1,2\n")), [[1, 2]])


def test_a_part_of_what_has_none_is_refused(tmp_path: Path) -> None:
    for name in ("numbers.npy", "images-idx3-ubyte", "grey/0.png"):
        with refused(DataFileError, "one array", "Leave out #a"):
            read_values(f"{write(tmp_path, name, files_made.FILES[name]())}#a")


@pytest.mark.parametrize("name", ["nowhere.npy", "nowhere.npz#a", "no\0where"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with refused(DataFileError, "Check the path"):
        read_values(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (image(BYTES[0]), "a single image"),
        (b"\x89HDF\r\n\x1a\n", "begins with the bytes 89 48 44 46"),
        (gzip.compress(npy(NUMBERS)), "a gzip file that begins with the bytes 93 4e"),
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with refused(DataFileError, "Expected a numpy file", said):
        read_values(write(tmp_path, "a", content))


def test_a_forbidden_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    source = write(tmp_path, "a.npy", npy(NUMBERS))
    monkeypatch.setattr(Path, "open", forbidden)
    with refused(DataFileError, str(source), "Permission denied"):
        read_values(source)


@pytest.mark.parametrize(
    ("name", "part"),
    [("words.npy", ""), ("flowers.csv", "#species"), ("flowers.csv", "#4"), ("flowers.parquet", "#species")],
)
def test_words_become_their_places_in_the_alphabet(tmp_path: Path, name: str, part: str) -> None:
    read = read_labels(f"{write(tmp_path, name, files_made.FILES[name]())}{part}")
    assert read.tolist() == CODES
    assert read.dtype == np.int64


@pytest.mark.parametrize("header", ["", "species\n"])
def test_a_list_of_words_with_a_header_or_without(tmp_path: Path, header: str) -> None:
    assert read_labels(table(tmp_path, header + "\n".join(WORDS))).tolist() == CODES


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_integers_stay_what_they_are(tmp_path: Path, dtype: type[np.generic]) -> None:
    labels = np.array([3, 0, 1, 1]).astype(dtype)
    for source in (
        write(tmp_path, "a.npy", npy(labels)),
        write(tmp_path, "b.npy", npy(labels[:, None])),
        write(tmp_path, "a.parquet", parquet({"l": labels})),
    ):
        assert read_labels(source).tolist() == labels.astype(int).tolist()


def test_integers_as_text(tmp_path: Path) -> None:
    assert read_labels(table(tmp_path, "digit\n7\n-1\n2.0\n")).tolist() == [7, -1, 2]


def test_what_is_no_label_is_refused(tmp_path: Path) -> None:
    with refused(DataFileError, "0.5", "row 1"):
        read_labels(write(tmp_path, "a.npy", npy(np.array([1.0, 0.5]))))
    with refused(DataFileError, "0.5", "row 1"):
        read_labels(table(tmp_path, "size\n1\n0.5\n"))
    with refused(DataFileError, "nan", "row 0"):
        read_labels(write(tmp_path, "a.npy", npy(np.array([np.nan, 0.5]))))
    with refused(DataFileError, "(6, 4)"):
        read_labels(write(tmp_path, "a.npy", npy(NUMBERS)))
    with refused(DataFileError, "one column of labels", "a, b", "#COLUMN"):
        read_labels(table(tmp_path, "a,b\n1,2\n"))
    gap = table(tmp_path, "a,kind\n1,ash\n2,\n")
    with refused(DataFileError, "line 3", "column 1 ('kind')", "empty cell"):
        read_labels(f"{gap}#kind")


def test_words_are_no_values(tmp_path: Path) -> None:
    with refused(DataFileError, "words", "read_labels"):
        read_values(write(tmp_path, "a.npy", npy(np.array(WORDS))))


@given(magic=st.sampled_from(BEGINNINGS), content=st.binary(max_size=100))
def test_any_bytes_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, magic: bytes, content: bytes) -> None:
    source = write(tmp_path_factory.getbasetemp(), "bytes", magic + content)
    for read in (read_values, read_labels):
        try:
            values = read(source)
        except DataFileError:
            continue
        assert values.size > 0
        assert values.dtype.kind in "biuf"


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    outcomes = files_made.read_damaged(600, seed=0, folder=tmp_path)
    assert outcomes["refused"] + outcomes["read"] == 1200
    assert outcomes["refused"] > 800


@pytest.mark.parametrize(
    "name", ["squeezed.npz", "numbers.npz", "images-idx3-ubyte.gz", "checked.parquet", "colour/0.png"]
)
def test_what_carries_a_checksum_is_never_read_wrongly(tmp_path: Path, name: str) -> None:
    content = files_made.FILES[name]()
    expected = read_values(write(tmp_path, name, content))
    random = np.random.default_rng(0)
    for _ in range(150):
        source = write(tmp_path, name, files_made.damaged(content, random))
        try:
            read = read_values(source)
        except DataFileError:
            continue
        np.testing.assert_array_equal(read, expected)
