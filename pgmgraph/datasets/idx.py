"""The IDX format, in which MNIST and its relatives are published: a typed array of any number of dimensions.

A file is two zero bytes, one byte for the type, one for the number of dimensions, each dimension's size as a big-endian
unsigned 32-bit integer, and the values in row-major order, big-endian (http://yann.lecun.com/exdb/mnist/, "The IDX
file format").
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pgmgraph.datasets.arrays import beyond_address_space, described, mapped, streamed
from pgmgraph.datasets.content import opened
from pgmgraph.errors import DataFileError

DTYPES: Mapping[int, np.dtype[np.generic]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

# numpy cannot represent more.
MAX_DIMENSIONS = 64


def read_idx(path: str | Path) -> npt.NDArray[np.generic]:
    """Read an IDX file, plain or compressed by gzip (told apart by content, not by name).

    Args:
        path: the file.

    Returns:
        A writable array of the file's shape and type, in the machine's byte order.

    Raises:
        DataFileError: the file is missing, unreadable, corrupt, truncated, too long, or no IDX file.
    """
    path = Path(path)
    return decode_idx(read_content(path), path)


def open_idx(path: Path) -> npt.NDArray[np.generic]:
    """See `read_idx`; but plain values of one byte are mapped, not read, and the map is read-only."""
    with opened(path) as content:
        dtype, shape, start = _decode_header(content.stream.read(4 + 4 * MAX_DIMENSIONS), path)
        if dtype.itemsize == 1 and not content.compressed:
            return mapped(path, shape, dtype.newbyteorder("="), start)
        content.stream.seek(start)
        return streamed(content.stream, shape, dtype, path, content.at_most)


def read_content(path: Path) -> bytes:
    """The bytes of a file, decompressed where they are gzip.

    Raises:
        DataFileError: the file is missing or unreadable, or its gzip stream is corrupt.
    """
    with opened(path) as content:
        return content.stream.read()


def decode_idx(content: bytes, path: Path) -> npt.NDArray[np.generic]:
    """The array that the bytes of an IDX file stand for; `path` is where they came from, for the errors.

    Raises:
        DataFileError: the bytes are truncated, too many, or no IDX file.
    """
    dtype, shape, start = _decode_header(content, path)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        kind = "truncated" if len(content) < expected else f"{len(content) - expected} trailing bytes"
        raise DataFileError(
            f"Expected {expected} bytes of IDX in {path} ({described(shape, dtype)}); got {len(content)} ({kind}). "
            f"Fetch the file again.",
            path,
        )
    values = np.frombuffer(content, dtype=dtype, offset=start)
    return values.reshape(shape).astype(dtype.newbyteorder("="), copy=True)


def _decode_header(content: bytes, path: Path) -> tuple[np.dtype[np.generic], tuple[int, ...], int]:
    """Type, shape and the offset of the first value."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES or not 1 <= content[3] <= MAX_DIMENSIONS:
        found = f"a file that begins with the bytes {content[:4].hex(' ')}" if content else "an empty file"
        raise DataFileError(
            f"Expected an IDX file in {path} (two zero bytes, a type from 08 to 0e, 1 to {MAX_DIMENSIONS} dimensions); "
            f"got {found}. Check that this is the right file.",
            path,
        )
    dtype, dimensions = DTYPES[content[2]], content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataFileError(
            f"Expected an IDX header of {start} bytes in {path} ({dimensions} dimensions); got {len(content)} bytes "
            f"(truncated). Fetch the file again.",
            path,
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if beyond_address_space(shape, dtype):
        raise DataFileError(
            f"Expected an IDX file in {path} that fits into memory; got a header that announces "
            f"{described(shape, dtype)}. Fetch the file again.",
            path,
        )
    return dtype, shape, start
