"""Values and labels from data files of any kind that is read here, told apart by their content."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pgmgraph.datasets.content import opened
from pgmgraph.datasets.idx import DTYPES, open_idx
from pgmgraph.datasets.image_folder import has_images, read_folder_names, read_images
from pgmgraph.datasets.npy import NPY_MAGIC, ZIP_MAGICS, npz_names, open_npy, read_npz
from pgmgraph.datasets.parquet import PARQUET_MAGIC, read_parquet, read_parquet_column
from pgmgraph.datasets.shards import read_shards, shard_paths, write_rows
from pgmgraph.datasets.sparse_matrix import is_matrix, read_matrix
from pgmgraph.datasets.text_table import number_in, read_text_column, read_text_table
from pgmgraph.errors import DataFileError

KINDS = "a numpy file (.npy, .npz), IDX, a table (CSV, TSV, Parquet), a folder of images or of shards"
HEAD_BYTES = 4096

# The kinds in which `#` chooses a part.
IN_PARTS = frozenset({"npz", "parquet", "shards", "text"})

# How files of a kind begin. What is none of these, nor IDX, and holds no control characters is text.
MAGICS = {"npy": (NPY_MAGIC,), "npz": ZIP_MAGICS, "parquet": (PARQUET_MAGIC,)}
CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f")
IMAGE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")

# 18 digits are within 64 bits, and beyond the integers that a real holds exactly.
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def read_values(source: str | Path) -> npt.NDArray[np.generic] | sparse.csr_array:
    """Numbers from a data file, one row an item.

    The kind is told by the content, not by the name. A file may be

    - `.npy`, which is mapped into memory and not read;
    - `.npz`, of which `archive.npz#member` names an array; or what `scipy.sparse.save_npz` wrote of a matrix in the
      format CSR, CSC or COO, which stays sparse;
    - IDX, plain (mapped where its values are bytes) or gzip;
    - a table as text (CSV, TSV, semicolons or blanks; plain or gzip; with a header or without), or Parquet.
      `table.csv#height,weight` chooses columns by name, `table.csv#0,2` by place, `table.csv#1:` from a place on;
    - a folder of images (PNG, JPEG, ...) of one size, in the order of their paths, sub-folders included;
    - a folder of shards, `.npy` or Parquet files, without images: their rows one after another, in the order of the
      files' names (`part-02` comes before `part-10`, and `part-10` before `part-2`).

    Where a file cannot be mapped, its values are read piece by piece into one array; beyond 1 GiB that array is a map
    of a temporary file in the folder that TMPDIR names. `write_npy` does that once and for all.

    Args:
        source: the path, and after a `#` the part that is wanted.

    Returns:
        (N, ...) booleans, integers or reals. Text gives (N, columns) float64, in which an empty cell is NaN; Parquet
        (N, columns), a column of lists counting for as many as these are long; images (N, H, W), or in colour
        (N, C, H, W). What is mapped is read-only. A sparse matrix is (N, V), rows compressed.

    Raises:
        DataFileError: the file is missing, unreadable, corrupt, truncated, of another kind, empty, or lacks the part;
            or it holds words where numbers belong.
    """
    path, part = _split(source)
    kind = _kind(path, part)
    values: npt.NDArray[np.generic] | sparse.csr_array
    if kind == "npz" and part is None and is_matrix(npz_names(path)):
        values = read_matrix(path)
    elif kind == "text":
        values = read_text_table(path, part)
    elif kind == "parquet":
        values = read_parquet(path, part)
    elif kind == "folder":
        values = read_images(path)
    elif kind == "shards":
        values = read_shards(shard_paths(path), part)
    else:
        values = _array(kind, path, part)
    if values.dtype.kind in "SU":
        raise DataFileError(
            f"Expected numbers in {source}; got words ({values.dtype}). As labels they can be read by read_labels.",
            path,
        )
    if values.ndim == 0 or 0 in values.shape:
        raise DataFileError(
            f"Expected at least one row and one column of values in {source}; got shape {values.shape}. "
            f"Check that the file was written.",
            path,
        )
    return values


def write_npy(source: str | Path, path: str | Path) -> Path:
    """Write what `read_values` reads as one `.npy` file, which from then on is mapped and never read into memory.

    It pays for Parquet, for shards and for text that are larger than memory and are learnt from more than once. While
    it runs, TMPDIR needs room for the values as well.

    Args:
        source: see `read_values`.
        path: the file to write; an older one is replaced when the new one is whole.

    Returns:
        The file.

    Raises:
        DataFileError: see `read_values`; or the values are a sparse matrix.
        OutputError: the file cannot be written.
    """
    target = Path(path)
    values = read_values(source)
    if isinstance(values, sparse.csr_array):
        raise DataFileError(
            f"Expected a dense array in {source} to write to {path}; got a sparse matrix, which is small as it is. "
            "Give it to an Observation.",
            Path(source),
        )
    write_rows(values, target)
    return target


def read_labels(source: str | Path) -> npt.NDArray[np.int64]:
    """One label for each item, from the same kinds of files as `read_values`.

    Integers are taken as they are. Words become their places in alphabetical order, from 0. A folder of images gives
    the sub-folder that each image lies in, in the order of `read_values`.

    Args:
        source: the path, and after a `#` the part that is wanted: `flowers.csv#species`.

    Returns:
        (N,) labels.

    Raises:
        DataFileError: as `read_values`; or there are several columns, missing values, or numbers that are no integers.
    """
    path, part = _split(source)
    kind = _kind(path, part)
    if kind == "text":
        labels = _from_text(read_text_column(path, part))
    elif kind == "parquet":
        labels = read_parquet_column(path, part)
    elif kind == "folder":
        labels = np.array(read_folder_names(path), dtype=np.str_)
    elif kind == "shards":
        labels = read_shards(shard_paths(path), part)
    else:
        labels = _array(kind, path, part)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.size == 0:
        raise DataFileError(
            f"Expected one label for each item in {source}; got values of shape {labels.shape}. "
            f"Choose one column or array.",
            path,
        )
    if labels.dtype.kind in "SU":
        _, codes = np.unique(labels, return_inverse=True)
        return np.asarray(codes, dtype=np.int64)
    return _integers(labels, source, path)


def _split(source: str | Path) -> tuple[Path, str | None]:
    """The path, and the part after the last `#`; a file whose own name holds a `#` goes before."""
    text = str(source)
    name, mark, part = text.rpartition("#")
    if "\0" in text:
        raise DataFileError(f"Expected a path; got {text!r}, which holds a zero byte. Check the path.", Path(name))
    # Unlike Path.exists, os.path.exists takes what we may not look at for absent; opening it tells why.
    if not mark or os.path.exists(text):  # noqa: PTH110
        return Path(text), None
    return Path(name), part


def _kind(path: Path, part: str | None) -> str:
    """What is at `path`: "npy", "npz", "idx", "parquet", "text", "folder" (of images) or "shards"."""
    kind = _kind_of_folder(path) if os.path.isdir(path) else _kind_of_file(path)  # noqa: PTH112
    if part is not None and kind not in IN_PARTS:
        raise DataFileError(
            f"Expected no part to be chosen of {path}, which is one array; got {part!r}. Leave out #{part}.", path
        )
    return kind


def _kind_of_folder(path: Path) -> str:
    # Images go before, since what describes them often lies beside them.
    return "shards" if shard_paths(path) and not has_images(path) else "folder"


def _kind_of_file(path: Path) -> str:
    with opened(path) as content:
        head = content.stream.read(HEAD_BYTES)
        compressed = content.compressed
    if not head:
        raise DataFileError(f"Expected {KINDS} at {path}; got an empty file. Check the path.", path)
    if head[:2] == b"\0\0" and len(head) > 2 and head[2] in DTYPES:
        return "idx"
    for kind, magics in MAGICS.items():
        if head.startswith(magics) and not compressed:
            return kind
    if any(byte in CONTROLS for byte in head):
        if head.startswith(IMAGE_MAGICS):
            raise DataFileError(f"Expected {KINDS} at {path}; got a single image. Give the folder that it is in.", path)
        found = f"a {'gzip ' if compressed else ''}file that begins with the bytes {head[:8].hex(' ')}"
        raise DataFileError(f"Expected {KINDS} at {path}; got {found}. Convert it to one of these.", path)
    return "text"


def _array(kind: str, path: Path, part: str | None) -> npt.NDArray[np.generic]:
    if kind == "npy":
        return open_npy(path)
    return read_npz(path, part) if kind == "npz" else open_idx(path)


def _from_text(words: list[str]) -> npt.NDArray[np.generic]:
    """Numbers where all words are, else the words."""
    if all(INTEGER.fullmatch(word) for word in words):
        return np.array([int(word) for word in words], dtype=np.int64)
    numbers = [number_in(word) for word in words]
    return np.array(words if None in numbers else numbers)


def _integers(labels: npt.NDArray[np.generic], source: str | Path, path: Path) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        integers = labels.astype(np.int64)
    wrong = np.flatnonzero(integers != labels)
    if len(wrong):
        raise DataFileError(
            f"Expected integers or words as labels in {source}; got {labels[wrong[0]]} in row {wrong[0]}. "
            f"Choose another column, or write words.",
            path,
        )
    return integers
