"""numpy's own files: `.npy`, one array, which is mapped; `.npz`, a zip archive of several."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from pgmgraph.datasets.arrays import beyond_address_space, mapped, streamed
from pgmgraph.datasets.content import DEFLATE_RATIO, opened
from pgmgraph.datasets.idx import MAX_DIMENSIONS
from pgmgraph.errors import DataFileError, suggestion

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

# The header's length in bytes is two bytes long in version 1 of the format, and four in versions 2 and 3
# (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
MAX_HEADER_BYTES = 1 << 16

# The header is a Python literal. numpy evaluates it; the three fields of it that are wanted can be told without that.
FIELDS = {
    "descr": re.compile(rb"'descr': *('[^']*'|\[[^\]]*\])"),
    "order": re.compile(rb"'fortran_order': *(True|False)"),
    "shape": re.compile(rb"'shape': *\(((?:\d{1,19}L?, *)*(?:\d{1,19}L?)?)\)"),
}
# Booleans, integers, reals, and words.
PLAIN_TYPE = re.compile(rb"'[<>|=](b1|[iu][1248]|f(2|4|8|16)|[SU][1-9]\d{0,5})'")

Header = tuple[tuple[int, ...], bool, np.dtype[np.generic]]


def open_npy(path: Path) -> npt.NDArray[np.generic]:
    """The array of a `.npy` file as a read-only memory map.

    Raises:
        DataFileError: the file is corrupt, truncated, too long, or its values are no numbers and no words.
    """
    with opened(path) as content:
        shape, fortran, dtype = _header(content.stream, path, str(path))
        return mapped(path, shape, dtype, content.stream.tell(), fortran=fortran)


def read_npz(path: Path, member: str | None) -> npt.NDArray[np.generic]:
    """One array of a `.npz` archive.

    Args:
        path: the archive.
        member: the name of the array, with or without `.npy`; needed unless there is only one.

    Raises:
        DataFileError: there is no such array, or the archive is corrupt or encrypted.
    """
    with _opened(path) as archive:
        return _member(archive, _chosen(archive, member, path), path)


def npz_names(path: Path) -> list[str]:
    """The names of the arrays in a `.npz` archive, without `.npy`.

    Raises:
        DataFileError: the archive is corrupt.
    """
    with _opened(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,  # a way of compression that Python lacks
        RuntimeError,  # an encrypted member
        OSError,  # most often a seek to where the file does not reach
    ) as error:
        raise DataFileError(
            f"Expected a whole .npz archive in {path}; got a corrupt or foreign one ({error}). "
            f"Write it by numpy.savez again.",
            path,
        ) from error


def _chosen(archive: zipfile.ZipFile, member: str | None, path: Path) -> zipfile.ZipInfo:
    arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename[-4:] == ".npy"}
    if not arrays:
        raise DataFileError(
            f"Expected a .npz archive of arrays in {path}; got a zip archive without any. Write it by numpy.savez.",
            path,
        )
    listed = ", ".join(arrays)
    if member is None:
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        raise DataFileError(
            f"Expected one array in {path}; got {len(arrays)}: {listed}. Say which, as in {path}#NAME.", path
        )
    name = member.removesuffix(".npy")
    if name not in arrays:
        raise DataFileError(
            f"Expected an array {name!r} in {path}; got {listed}.{suggestion(name, arrays) or ' Choose one of these.'}",
            path,
        )
    return arrays[name]


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> npt.NDArray[np.generic]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataFileError(
            f"Expected {info.filename} in {path} stored or deflated, as numpy does it; got another compression. "
            f"Write it by numpy.savez again.",
            path,
        )
    with archive.open(info) as file:
        shape, fortran, dtype = _header(cast(BinaryIO, file), path, f"{path}#{info.filename}")
        at_most = min(info.file_size, DEFLATE_RATIO * path.stat().st_size)
        values = streamed(file, shape[::-1] if fortran else shape, dtype, path, at_most)
    return values.T if fortran else values


def _header(file: BinaryIO, path: Path, where: str) -> Header:
    """Shape, whether in Fortran's order, and type; the file then stands at the first value."""
    start = file.read(12)
    width = LENGTH_BYTES.get(start[6:8])
    if not start.startswith(NPY_MAGIC) or width is None or len(start) < 12:
        raise DataFileError(
            f"Expected an array in numpy's format (version 1 to 3) in {where}; got a file that begins with the bytes "
            f"{start.hex(' ')}. Write it by numpy.save again.",
            path,
        )
    length = int.from_bytes(start[8 : 8 + width], "little")
    text = start[8 + width :] + file.read(max(0, min(length, MAX_HEADER_BYTES) - (4 - width)))
    found = {key: pattern.search(text) for key, pattern in FIELDS.items()}
    descr, order, sizes = (found[key] for key in ("descr", "order", "shape"))
    if len(text) != length or not (descr and order and sizes):
        raise DataFileError(
            f"Expected numpy's header of type, order and shape in {where}; got a corrupt or truncated one. "
            f"Write it by numpy.save again.",
            path,
        )
    if not PLAIN_TYPE.fullmatch(descr[1]):
        kind = (
            "Python objects, which could run code when loaded"
            if b"O" in descr[1]
            else f"the type {descr[1].decode('latin-1')}"
        )
        raise DataFileError(
            f"Expected real numbers or words in {where}; got {kind}. Convert the array before it is saved, such as by "
            f".astype(float).",
            path,
        )
    dtype = np.dtype(descr[1].strip(b"'").decode())
    shape = tuple(int(size) for size in sizes[1].replace(b"L", b"").split(b",") if size.strip())
    if len(shape) > MAX_DIMENSIONS or beyond_address_space(shape, dtype):
        raise DataFileError(
            f"Expected an array in {where} that a machine can address; got a header that announces the shape {shape}. "
            f"Write it by numpy.save again.",
            path,
        )
    return shape, order[1] == b"True", dtype
