"""The IDX reader gives the array that was written, or a DataFileError that says what is wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmgraph.datasets.idx import DTYPES, decode_idx, open_idx, read_idx
from pgmgraph.errors import DataFileError
from tests.datasets.files_made import BYTES, write
from tests.refusals import refused


def encode(values: npt.NDArray[np.generic]) -> bytes:
    """The bytes of an IDX file that holds `values`."""
    code = next(code for code, dtype in DTYPES.items() if dtype == values.dtype.newbyteorder(">"))
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


SAMPLE = encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 7)])
@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_was_written(
    tmp_path: Path, dtype: type[np.generic], shape: tuple[int, ...], compressed: bool
) -> None:
    values = (np.arange(np.prod(shape)).reshape(shape) - 3).astype(dtype)
    path = tmp_path / "values"
    path.write_bytes(gzip.compress(encode(values)) if compressed else encode(values))
    read = read_idx(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.writeable


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(SAMPLE)
    (tmp_path / "squeezed").write_bytes(gzip.compress(SAMPLE))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), read_idx(str(tmp_path / "squeezed")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"<html>", "begins with the bytes 3c 68 74 6d"),
        (b"\0\0\x0a\x01", "Expected an IDX file"),
        (b"\0\0\x08\x00\x05", "1 to 64 dimensions"),
        (SAMPLE[:10], r"header of 16 bytes .* got 10 bytes \(truncated\)"),
        (SAMPLE[:-5], r"Expected 40 bytes .*2 x 3 x 4 uint8.* got 35 \(truncated\)"),
        (SAMPLE + b"xy", r"Expected 40 bytes .* got 42 \(2 trailing bytes\)"),
        (b"\0\0\x0e\x03" + b"\xff" * 12, "fits into memory"),
        (b"\0\0\x0e\x04" + b"\0" * 4 + b"\xff" * 12, "fits into memory"),
        (gzip.compress(SAMPLE)[:-9], "whole gzip file"),
        (gzip.compress(SAMPLE)[:12] + b"\xff" * 20, "whole gzip file"),
        (gzip.compress(b"hello"), "begins with the bytes 68 65 6c 6c"),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=said) as caught:
        read_idx(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"Expected a file at .*nowhere; got none"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataFileError, match="Expected a readable file"):
        read_idx(tmp_path)


@given(length=st.integers(0, len(SAMPLE) - 1))
def test_any_truncation_is_refused(length: int) -> None:
    with pytest.raises(DataFileError):
        decode_idx(SAMPLE[:length], Path("sample"))


@given(position=st.integers(0, 15), value=st.integers(0, 255))
def test_any_changed_byte_of_the_header_is_refused_or_read_rightly(position: int, value: int) -> None:
    content = bytearray(SAMPLE)
    content[position] = value
    try:
        values = decode_idx(bytes(content), Path("sample"))
    except DataFileError:
        return
    assert encode(values) == bytes(content)


@given(content=st.binary(max_size=64))
def test_any_bytes_are_refused_or_read_rightly(content: bytes) -> None:
    try:
        values = decode_idx(content, Path("sample"))
    except DataFileError:
        return
    assert encode(values) == content


@given(data=st.data())
def test_any_damage_to_a_gzip_file_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(gzip.compress(SAMPLE, mtime=0))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "file.gz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        values = read_idx(path)
    except DataFileError:
        return
    np.testing.assert_array_equal(values, decode_idx(SAMPLE, path))


def test_plain_bytes_are_mapped(tmp_path: Path) -> None:
    read = open_idx(write(tmp_path, "images", encode(BYTES)))
    np.testing.assert_array_equal(read, BYTES)
    assert isinstance(read, np.memmap)


def test_gzip_is_read_piece_by_piece(tmp_path: Path) -> None:
    np.testing.assert_array_equal(open_idx(write(tmp_path, "a", gzip.compress(encode(BYTES)))), BYTES)


def test_wide_values_come_in_the_machines_order(tmp_path: Path) -> None:
    values = (np.arange(6).reshape(2, 3) * 70_000).astype(">i4")
    read = open_idx(write(tmp_path, "a", b"\0\0\x0c\x02\0\0\0\x02\0\0\0\x03" + values.tobytes()))
    np.testing.assert_array_equal(read, values)
    assert read.dtype.isnative


def test_a_bomb_claims_no_memory(tmp_path: Path) -> None:
    header = b"\0\0\x08\x02" + (1 << 31).to_bytes(4, "big") * 2
    with refused(DataFileError, "2147483648 x 2147483648 uint8", "truncated"):
        open_idx(write(tmp_path, "a", gzip.compress(header + bytes(1000))))


@pytest.mark.parametrize(("change", "said"), [(-1, "truncated"), (1, "trailing")])
def test_the_length_must_fit_what_the_header_announces(tmp_path: Path, change: int, said: str) -> None:
    content = encode(BYTES)[:change] if change < 0 else encode(BYTES) + bytes(change)
    for form in (content, gzip.compress(content)):
        with refused(DataFileError, "6 x 8 x 8 uint8", said):
            open_idx(write(tmp_path, "a", form))
