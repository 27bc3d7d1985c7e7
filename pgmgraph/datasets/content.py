"""The bytes of a data file, decompressed on the way where they are gzip, and what can go wrong with them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pgmgraph.errors import DataFileError

GZIP_MAGIC = b"\x1f\x8b"

# Deflate, which gzip and zip use, turns one byte into no more (https://zlib.net/zlib_tech.html).
DEFLATE_RATIO = 1032


@dataclass(frozen=True)
class Content:
    """An open file.

    Attributes:
        stream: gives the bytes, decompressed.
        compressed: whether the file is gzip.
        at_most: no more than so many bytes can come.
    """

    stream: BinaryIO
    compressed: bool
    at_most: int


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """Open a file, plain or gzip (told apart by content, not by name).

    Raises:
        DataFileError: the file is missing or unreadable, or its gzip stream is corrupt (as may show late).
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            if not compressed:
                yield Content(file, compressed=False, at_most=size)
            else:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield Content(cast(BinaryIO, stream), compressed=True, at_most=DEFLATE_RATIO * size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataFileError(
            f"Expected a whole gzip file in {path}; got a corrupt or truncated one ({error}). Fetch the file again.",
            path,
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataFileError:
    """The error that the system does not give out what is at `path`."""
    if isinstance(error, FileNotFoundError):
        return DataFileError(f"Expected a file at {path}; got none. Check the path.", path)
    return DataFileError(
        f"Expected a readable file at {path}; got: {error.strerror or error}. Check the path and its permissions.", path
    )
