"""Arrays as they lie in files: mapped where that can be, else read piece by piece into one array."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pgmgraph.errors import DataFileError

IN_MEMORY_BYTES = 1 << 30
PIECE_BYTES = 1 << 20


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def room(shape: tuple[int, ...], dtype: np.dtype[np.generic], path: Path) -> npt.NDArray[np.generic]:
    """An array, not yet filled, for the values of the file `path`.

    Up to 1 GiB it lies in memory. Beyond, it is a memory map of a temporary file without a name, in the folder that
    TMPDIR names; the file goes when the array does.

    Raises:
        DataFileError: numpy has no array of this shape, or neither memory nor disk has the room.
    """
    if min(shape, default=0) < 0 or beyond_address_space(shape, dtype):
        raise _no_room(shape, dtype, path, "which no machine can address")
    size = math.prod(shape) * dtype.itemsize
    try:
        if size <= IN_MEMORY_BYTES:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="pgmgraph-") as file:
            # A full disk is an error here; without the reservation, writing to the map would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, mode="r+", shape=shape)
    except MemoryError as error:
        raise _no_room(shape, dtype, path, "more than there is memory") from error
    except OSError as error:
        raise _no_room(shape, dtype, path, f"too large for {tempfile.gettempdir()} ({error.strerror})") from error


def beyond_address_space(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bool:
    """Whether numpy refuses the shape: its non-zero sizes multiply past what a machine can address."""
    return math.prod(size for size in shape if size) * dtype.itemsize > sys.maxsize


def _no_room(shape: tuple[int, ...], dtype: np.dtype[np.generic], path: Path, cause: str) -> DataFileError:
    return DataFileError(
        f"Expected a file at {path} that fits into memory or onto the disk; got one that announces "
        f"{described(shape, dtype)}, {cause}. If that is its true size, point TMPDIR to a larger disk or split the "
        f"file; else fetch it again.",
        path,
    )


def described(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> str:
    """For messages: "60000 x 28 x 28 uint8"."""
    return f"{' x '.join(map(str, shape))} {dtype.name}".lstrip()


def mapped(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic], start: int, *, fortran: bool = False
) -> npt.NDArray[np.generic]:
    """A read-only memory map of the values that follow the first `start` bytes of a file, and end it.

    Raises:
        DataFileError: the file is shorter or longer than that.
    """
    expected = start + math.prod(shape) * dtype.itemsize
    found = path.stat().st_size
    if found != expected:
        kind = "truncated" if found < expected else f"{found - expected} trailing bytes"
        raise DataFileError(
            f"Expected {expected} bytes in {path} ({described(shape, dtype)}); got {found} ({kind}). "
            f"Fetch the file again.",
            path,
        )
    if expected == start:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode="r", offset=start, shape=shape, order="F" if fortran else "C")


def streamed(
    stream: Stream, shape: tuple[int, ...], dtype: np.dtype[np.generic], path: Path, at_most: int
) -> npt.NDArray[np.generic]:
    """The values that a stream gives in C order, up to its end.

    Args:
        stream: stands where the values begin.
        shape: of the array.
        dtype: of the values in the stream; those of the array are in the machine's byte order.
        path: where the stream comes from, for errors.
        at_most: no more than so many bytes can come, so that a false header claims no memory.

    Raises:
        DataFileError: fewer or more bytes come, or there is no room.
    """
    expected = math.prod(shape) * dtype.itemsize
    if expected > at_most:
        raise _wrong_length(shape, dtype, path, f"no more than {at_most} can come (truncated)")
    values = room(shape, dtype, path)
    if values.size:
        target = values.reshape(-1).view(np.uint8)
        done = 0
        while done < expected:
            piece = stream.read(min(PIECE_BYTES, expected - done))
            if not piece:
                raise _wrong_length(shape, dtype, path, f"{done} came (truncated)")
            target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
    if stream.read(1):
        raise _wrong_length(shape, dtype, path, "more came (trailing bytes)")
    return values if dtype.isnative else values.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _wrong_length(shape: tuple[int, ...], dtype: np.dtype[np.generic], path: Path, found: str) -> DataFileError:
    expected = math.prod(shape) * dtype.itemsize
    return DataFileError(
        f"Expected {expected} bytes of values in {path} ({described(shape, dtype)}); {found}. Fetch the file again.",
        path,
    )
