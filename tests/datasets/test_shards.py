"""Shards in a folder are one array, in the order of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pgmgraph.datasets import arrays, read_labels, read_values, write_npy
from pgmgraph.errors import DataFileError, OutputError
from tests.datasets.files_made import BYTES, NUMBERS, image, npy, parquet, write
from tests.refusals import refused


def shards(folder: Path, **contents: bytes) -> Path:
    for name, content in contents.items():
        write(folder / "shards", name.replace("_", "."), content)
    return folder / "shards"


def table(values: NDArray[np.float64]) -> bytes:
    return parquet({"a": values[:, 0], "l": list(values[:, 1:])})


def test_rows_follow_one_another_in_the_order_of_names(tmp_path: Path) -> None:
    folder = shards(tmp_path, b_npy=npy(BYTES[2:5]), a_npy=npy(BYTES[:2]), c_npy=npy(BYTES[5:]))
    (folder / ".hidden.npy").write_bytes(b"nothing")
    (folder / "README.txt").write_text("how it was made")
    read = read_values(folder)
    np.testing.assert_array_equal(read, BYTES)
    assert read.dtype == np.uint8


def test_parquet_and_npy_lie_side_by_side(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_parquet=table(NUMBERS[:4]), b_npy=npy(NUMBERS[4:].astype(np.float32)))
    read = read_values(folder)
    np.testing.assert_array_equal(read, NUMBERS)
    assert read.dtype == np.float64


def test_columns_are_chosen_of_parquet_alone(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_parquet=table(NUMBERS[:4]), b_parquet=table(NUMBERS[4:]))
    np.testing.assert_array_equal(read_values(f"{folder}#l"), NUMBERS[:, 1:])
    shards(tmp_path, c_npy=npy(NUMBERS))
    with refused(DataFileError, "c.npy", "Leave out #l"):
        read_values(f"{folder}#l")


def test_a_single_npy_is_mapped(tmp_path: Path) -> None:
    read = read_values(shards(tmp_path, a_npy=npy(BYTES)))
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, BYTES)


@pytest.mark.parametrize(
    "other", [npy(BYTES[:, :4]), npy(BYTES.reshape(6, 64)), npy(np.array(3.0))], ids=["narrow", "flat", "number"]
)
def test_rows_of_another_shape_are_refused(tmp_path: Path, other: bytes) -> None:
    with refused(DataFileError, "6 x 8 x 8 uint8", "a.npy", "b.npy"):
        read_values(shards(tmp_path, a_npy=npy(BYTES), b_npy=other))


def test_a_corrupt_shard_is_named(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_npy=npy(BYTES), b_npy=npy(BYTES)[:-5])
    with refused(DataFileError, "b.npy", "truncated"):
        read_values(folder)
    with refused(DataFileError, "words.npy", "got words"):
        read_values(shards(tmp_path / "other", a_npy=npy(BYTES), words_npy=npy(np.array(["fig"]))))


def test_images_go_before_what_lies_beside_them(tmp_path: Path) -> None:
    folder = shards(tmp_path, labels_npy=npy(np.arange(1)), a_png=image(BYTES[0]))
    np.testing.assert_array_equal(read_values(folder), BYTES[:1])


def test_labels_come_in_shards_too(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_npy=npy(np.array([3, 1])), b_npy=npy(np.array([2])))
    assert read_labels(folder).tolist() == [3, 1, 2]


def test_what_is_large_goes_to_a_file_that_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shards(tmp_path, a_parquet=table(NUMBERS[:4]), b_npy=npy(NUMBERS[4:]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
    read = read_values(folder)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, NUMBERS)
    assert list(scratch.iterdir()) == []


def test_written_once_it_is_mapped_from_then_on(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_parquet=table(NUMBERS[:4]), b_npy=npy(NUMBERS[4:]))
    path = write_npy(folder, tmp_path / "made" / "whole.npy")
    read = read_values(path)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, NUMBERS)
    np.testing.assert_array_equal(np.load(path), NUMBERS)
    write_npy(f"{folder / 'a.parquet'}#a", path)  # in the place of the older one
    np.testing.assert_array_equal(read_values(path), NUMBERS[:4, :1])
    (tmp_path / "file").write_text("no folder")
    with refused(OutputError, str(tmp_path / "file")):
        write_npy(folder, tmp_path / "file" / "whole.npy")
