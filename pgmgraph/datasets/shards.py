"""A folder of shards: `.npy` and Parquet files whose rows, in the order of the files' names, are one array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pgmgraph.atomic import whole_file
from pgmgraph.datasets.arrays import described, room
from pgmgraph.datasets.content import unreadable
from pgmgraph.datasets.npy import open_npy
from pgmgraph.datasets.parquet import fill_from_parquet, parquet_shape
from pgmgraph.errors import DataFileError

SUFFIXES = frozenset({".npy", ".parquet"})

Shape = tuple[int, ...]


def shard_paths(folder: Path) -> list[Path]:
    """The shards in a folder, sorted by name; hidden files, sub-folders and other kinds are passed over.

    Raises:
        DataFileError: the folder is unreadable.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error
    return [path for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def read_shards(paths: Sequence[Path], columns: str | None) -> npt.NDArray[np.generic]:
    """The rows of all shards, one after another, of the type that holds those of all.

    They are copied once, shard by shard, into one array: in memory up to 1 GiB, and beyond into an unnamed file in the
    folder that TMPDIR names. A single `.npy` file is mapped.

    Args:
        paths: the shards.
        columns: of Parquet files, those that are wanted.

    Raises:
        DataFileError: rows of different shapes, a corrupt shard, or no room.
    """
    if len(paths) == 1 and not _is_parquet(paths[0]) and columns is None:
        return open_npy(paths[0])
    found = [_shape(path, columns) for path in paths]
    (_, *event), first = found[0]
    for path, (shape, dtype) in zip(paths, found, strict=True):
        if list(shape[1:]) != event or not shape:
            raise DataFileError(
                f"Expected rows alike in all shards, as {described(found[0][0], first)} in {paths[0]}; got "
                f"{described(shape, dtype)} in {path}. Take it out of the folder, or write it again.",
                path,
            )
    rows = [shape[0] for shape, _ in found]
    values = room((sum(rows), *event), np.result_type(*[dtype for _, dtype in found]), paths[0].parent)
    begin = 0
    for path, count in zip(paths, rows, strict=True):
        _fill(values[begin : begin + count], path, columns)
        begin += count
    return values


def write_rows(values: npt.NDArray[np.generic], path: Path) -> None:
    """Write an array as a `.npy` file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _shape(path: Path, columns: str | None) -> tuple[Shape, np.dtype[np.generic]]:
    if _is_parquet(path):
        return parquet_shape(path, columns)
    if columns is not None:
        raise DataFileError(
            f"Expected Parquet files to choose columns of; got {path}. Leave out #{columns}.",
            path,
        )
    # Each is opened again to be copied: a process may hold no more than some hundred maps.
    values = open_npy(path)
    if values.dtype.kind in "SU":
        raise DataFileError(f"Expected numbers in {path}; got words ({values.dtype}).", path)
    return values.shape, values.dtype


def _fill(target: npt.NDArray[np.generic], path: Path, columns: str | None) -> None:
    if _is_parquet(path):
        fill_from_parquet(target, path, columns)
    else:
        target[:] = open_npy(path)
