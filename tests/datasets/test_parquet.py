"""Parquet: columns and lists become one array of numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pgmgraph.datasets import read_values
from pgmgraph.errors import DataFileError
from tests.datasets import files_made
from tests.datasets.files_made import BYTES, NUMBERS, parquet, write
from tests.refusals import refused


@pytest.mark.parametrize("rows", [1, 6, 10_000])
def test_columns_and_lists_side_by_side(tmp_path: Path, rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    columns = {"a": values[:, 0], "l": list(values[:, 1:4]), "z": values[:, 4]}
    source = write(tmp_path, "a.parquet", parquet(columns, row_group_size=3000))
    read = read_values(source)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read_values(f"{source}#z,l"), values[:, [4, 1, 2, 3]])
    np.testing.assert_array_equal(read_values(f"{source}#1:"), values[:, 1:])


def test_lists_of_fixed_length_and_whole_numbers(tmp_path: Path) -> None:
    flat = BYTES.reshape(6, 64)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 64)
    read = read_values(write(tmp_path, "a.parquet", parquet({"pixels": fixed})))
    np.testing.assert_array_equal(read, flat)
    assert read.dtype == np.uint8


def test_a_missing_real_is_not_a_number_and_a_missing_integer_is_refused(tmp_path: Path) -> None:
    reals = write(tmp_path, "a.parquet", parquet({"a": pa.array([0.5, None])}))
    np.testing.assert_array_equal(read_values(reals), [[0.5], [np.nan]])
    integers = write(tmp_path, "b.parquet", parquet({"age": pa.array([1, None])}))
    with refused(DataFileError, "'age'", "1 missing"):
        read_values(integers)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, "a.parquet", files_made.FILES["flowers.parquet"]())
    with refused(DataFileError, "'species'", "string", "#COLUMN"):
        read_values(source)
    np.testing.assert_array_equal(read_values(f"{source}#a,b,c,d"), NUMBERS)
    with refused(DataFileError, "'e'", "a, b, c, d, species"):
        read_values(f"{source}#e")


def test_lists_of_different_lengths_are_refused(tmp_path: Path) -> None:
    lists = [[1.0, 2.0]] * 5000 + [[1.0]] + [[1.0, 2.0]] * 9
    with refused(DataFileError, "'l'", "row 5000"):
        read_values(write(tmp_path, "a.parquet", parquet({"l": lists})))
    with refused(DataFileError, "'l'", "row 4096"):
        read_values(write(tmp_path, "b.parquet", parquet({"l": [[1.0, 2.0]] * 4096 + [[1.0]]})))


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with refused(DataFileError, "at least one row"):
        read_values(write(tmp_path, "a.parquet", parquet({"a": pa.array([], pa.float64())})))


def test_the_extra_is_named_where_pyarrow_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "a.parquet", files_made.FILES["checked.parquet"]())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refused(DataFileError, str(source), 'pip install "pgmgraph[parquet]"'):
        read_values(source)
