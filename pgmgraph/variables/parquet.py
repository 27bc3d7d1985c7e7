"""Beliefs in a Parquet file, for data frames: a row for each item, a column for each tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow
import torch
from numpy.typing import NDArray
from pyarrow.parquet import ParquetWriter
from torch import Tensor

from pgmgraph.atomic import whole_file
from pgmgraph.errors import MessageError
from pgmgraph.messages import Message, Point


def write(path: Path, blocks: Iterable[Mapping[str, Message]]) -> None:
    """Write messages by the name of their variable, block of rows after block.

    Raises:
        OutputError: the file cannot be written.
        MessageError: the blocks differ in more than their values, variables are of plates of several sizes, or a
            message has tensors that are shared by the plate.
    """
    with whole_file(path) as temporary, ExitStack() as stack:
        writer: ParquetWriter | None = None
        for block in blocks:
            table = _table(block)
            if writer is None:
                writer = stack.enter_context(ParquetWriter(temporary, table.schema))
            if table.schema != writer.schema:
                raise MessageError(
                    f"Expected the columns of the first block in every one: {', '.join(writer.schema.names)}, "
                    f"of the same types; got {', '.join(table.schema.names)}."
                )
            writer.write_table(table)


def _table(block: Mapping[str, Message]) -> pyarrow.Table:
    sizes = {name: len(message) for name, message in block.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} of {size}" for name, size in sizes.items())
        raise MessageError(f"Expected variables of one plate, a row for each item; got {listed}. Save as .npz.")
    columns: dict[str, pyarrow.Array] = {}
    for name, message in block.items():
        if message.shared:
            raise MessageError(
                f"Expected a belief about {name}, with a row for each item; got a {type(message).__name__}, which "
                "has tensors for the whole plate. Save as .npz."
            )
        # A data frame knows nothing of a scale beside the values.
        scaled = isinstance(message, Point) and message.scale != 1
        plain = message.to(dtype=torch.float64) if scaled else message
        for part in plain.per_item:
            columns[f"{name}.{part}"] = _column(_array(getattr(plain, part)))
        columns[f"{name}.missing"] = _column(_array(plain.missing_rows()))
    return pyarrow.table(columns)


def _column(array: NDArray[np.generic]) -> pyarrow.Array:
    """One value a row, or a list of lists as deep as the array has further dimensions."""
    column = pyarrow.array(array.reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pyarrow.FixedSizeListArray.from_arrays(column, size)
    return column


def _array(tensor: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.detach().cpu().numpy()
    return array
