"""Parquet files, read by pyarrow, which the extra `parquet` installs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pgmgraph.datasets.arrays import room
from pgmgraph.datasets.columns import chosen_columns, one_column
from pgmgraph.errors import DataFileError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet as pq

PARQUET_MAGIC = b"PAR1"
ROWS_AT_ONCE = 4096


def read_parquet(path: Path, columns: str | None) -> npt.NDArray[np.generic]:
    """The numbers of a table; a missing value among reals is NaN.

    Args:
        path: the file.
        columns: the columns that are wanted, as `chosen_columns` reads them.

    Returns:
        (rows, columns), of the type that holds all that are chosen. A column of lists counts for as many as its
        lists are long, and they are equally long.

    Raises:
        DataFileError: a column that holds other things than numbers, a missing integer, lists of different lengths,
            a corrupt file, or pyarrow is not installed.
    """
    with _opened(path) as table:
        heads = _heads(table, columns, path)
        values = room(*_shape(table, heads), path)
        _fill(values, table, heads, path)
    return values


def parquet_shape(path: Path, columns: str | None) -> tuple[tuple[int, int], np.dtype[np.generic]]:
    """The shape and the type of what `read_parquet` returns.

    Raises:
        DataFileError: see `read_parquet`.
    """
    with _opened(path) as table:
        return _shape(table, _heads(table, columns, path))


def fill_from_parquet(values: npt.NDArray[np.generic], path: Path, columns: str | None) -> None:
    """Fill an array of `parquet_shape` with what `read_parquet` returns.

    Raises:
        DataFileError: see `read_parquet`.
    """
    with _opened(path) as table:
        _fill(values, table, _heads(table, columns, path), path)


def _heads(table: pq.ParquetFile, columns: str | None, path: Path) -> list[tuple[str, npt.NDArray[np.generic]]]:
    """The names of the chosen columns, and the first rows of each."""
    names = list(table.schema_arrow.names)
    heads = []
    for place in chosen_columns(columns, names, len(names), path):
        head = next(_pieces(table, names[place], path), None)
        if head is None:
            raise _empty(path)
        heads.append((names[place], head))
    return heads


def _shape(
    table: pq.ParquetFile, heads: Sequence[tuple[str, npt.NDArray[np.generic]]]
) -> tuple[tuple[int, int], np.dtype[np.generic]]:
    width = sum(head.shape[1] for _, head in heads)
    return (table.metadata.num_rows, width), np.result_type(*[head for _, head in heads])


def _fill(
    values: npt.NDArray[np.generic],
    table: pq.ParquetFile,
    heads: Sequence[tuple[str, npt.NDArray[np.generic]]],
    path: Path,
) -> None:
    """Column by column, since decoders of many columns at once take several times the memory of the values."""
    ends = np.cumsum([head.shape[1] for _, head in heads])
    for (name, head), end in zip(heads, ends, strict=True):
        part = values[:, end - head.shape[1] : end]
        filled = 0
        for piece in _pieces(table, name, path):
            if piece.shape[1] != part.shape[1]:
                raise _uneven(name, part.shape[1], piece.shape[1], filled, path)
            rows = part[filled : filled + len(piece)]
            filled += len(piece)
            if len(rows) == len(piece):
                rows[:] = piece
        _check_rows(table, filled, path)


def read_parquet_column(path: Path, column: str | None) -> npt.NDArray[np.generic]:
    """The words or numbers of one column, (rows,).

    Raises:
        DataFileError: a missing value, several columns and none chosen, a corrupt file, or pyarrow is not installed.
    """
    with _opened(path) as table:
        names = list(table.schema_arrow.names)
        name = names[one_column(column, names, len(names), path)]
        pieces = list(_pieces(table, name, path, words=True))
        if not pieces:
            raise _empty(path)
        _check_rows(table, sum(map(len, pieces)), path)
    return np.concatenate(pieces)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ModuleNotFoundError as error:
        raise DataFileError(
            f'Expected pyarrow to read {path} with; it is not installed. Run: pip install "pgmgraph[parquet]"', path
        ) from error
    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as table:
            yield table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataFileError(
            f"Expected a whole Parquet file in {path}; got a corrupt or truncated one ({_brief(error)}). "
            f"Write or fetch it again.",
            path,
        ) from error


def _brief(error: BaseException) -> str:
    first = str(error).strip().split("\n")[0]
    return first[:200]


def _empty(path: Path) -> DataFileError:
    return DataFileError(f"Expected at least one row in {path}; got none. Check that it was written.", path)


def _check_rows(table: pq.ParquetFile, found: int, path: Path) -> None:
    announced = table.metadata.num_rows
    if found != announced:
        raise DataFileError(
            f"Expected {announced} rows in {path}, as its footer says; got another number in a column. "
            f"Write or fetch it again.",
            path,
        )


def _uneven(name: str, expected: int, found: int, row: int, path: Path) -> DataFileError:
    return DataFileError(
        f"Expected lists of one length in column {name!r} of {path}; got {expected} values, and {found} in row {row}. "
        f"Pad or cut them.",
        path,
    )


def _pieces(table: pq.ParquetFile, name: str, path: Path, *, words: bool = False) -> Iterator[npt.NDArray[np.generic]]:
    """A column, some thousands of rows at a time: (rows, width) numbers, or where allowed (rows,) words."""
    from pyarrow import types

    row = 0
    for batch in table.iter_batches(ROWS_AT_ONCE, columns=[name], use_threads=False):
        # A name with a dot could stand for a part of another column.
        if batch.schema.names != [name]:
            raise DataFileError(
                f"Expected one column {name!r} in {path}; got {', '.join(batch.schema.names) or 'none'}. Rename it.",
                path,
            )
        if not len(batch):
            continue
        array = _plain(batch.column(0))
        if words and (types.is_string(array.type) or types.is_large_string(array.type)):
            _refuse_missing(array, name, row, path)
            yield np.array(array.to_pylist(), dtype=np.str_)
        else:
            yield _numbers(array, name, row, path)
        row += len(batch)


def _plain(array: pa.Array) -> pa.Array:
    """Without a dictionary of values, or decimals."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    return array


def _numbers(array: pa.Array, name: str, row: int, path: Path) -> npt.NDArray[np.generic]:
    """The (rows, width) numbers of a part of a column that begins at `row`."""
    from pyarrow import compute, types

    rows = len(array)
    if types.is_list(array.type) or types.is_large_list(array.type) or types.is_fixed_size_list(array.type):
        _refuse_missing(array, name, row, path)
        lengths = np.asarray(compute.list_value_length(array))
        if (lengths != lengths[0]).any():
            other = int(np.argmax(lengths != lengths[0]))
            raise _uneven(name, lengths[0], lengths[other], row + other, path)
        array = _plain(array.flatten())
    if not (types.is_integer(array.type) or types.is_floating(array.type) or types.is_boolean(array.type)):
        raise DataFileError(
            f"Expected numbers, or lists of numbers, in column {name!r} of {path}; got {array.type}. Choose other "
            f"columns, as in {path}#COLUMN,COLUMN.",
            path,
        )
    if not types.is_floating(array.type):
        _refuse_missing(array, name, row, path)
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(rows, -1)


def _refuse_missing(array: pa.Array, name: str, row: int, path: Path) -> None:
    if array.null_count:
        raise DataFileError(
            f"Expected a value in every row of column {name!r} of {path}; got {array.null_count} missing ones among "
            f"the rows from {row} on. Fill them, or store numbers as reals, where a missing one is read as NaN.",
            path,
        )
