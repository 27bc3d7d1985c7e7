"""Messages in an `.npz` file: an array for each tensor, written block by block, and a header that says what they are.

The file is what `numpy.savez` makes, without compression: a zip archive of `.npy` files, each with a checksum. The
array `header` holds JSON. Nothing in it is ever run.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph.atomic import whole_file
from pgmgraph.errors import DataFileError, MessageError
from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Message,
    MessageType,
    MixturePotential,
    Point,
    PooledGaussianPotential,
)

FORMAT = "pgmgraph beliefs 1"
"""Raised whenever what is written changes its meaning."""

_KINDS: dict[str, MessageType] = {
    kind.__name__: kind
    for kind in (
        Categorical,
        CategoricalPotential,
        Gaussian,
        GaussianEvidence,
        GaussianPotential,
        MixturePotential,
        Point,
        PooledGaussianPotential,
    )
}
_HEADER = "header"
# What zipfile and numpy raise over bytes that are not what they should be.
_BROKEN = (
    AttributeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    MessageError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass
class _Column:
    """An array that grows by blocks of rows, in a file of its own that has no header."""

    file: Path
    dtype: np.dtype[Any]
    event: tuple[int, ...]
    rows: int = 0

    def append(self, array: NDArray[Any]) -> None:
        if (array.dtype, array.shape[1:]) != (self.dtype, self.event):
            raise MessageError(
                f"Expected rows of {self.event} {self.dtype} in each block of beliefs, as in the first; "
                f"got {array.shape[1:]} {array.dtype}."
            )
        with self.file.open("ab") as file:
            file.write(np.ascontiguousarray(array).data)
        self.rows += len(array)


@dataclass
class _Variable:
    """What the header says of one variable, and the tensors that are the same for all of its plate."""

    kind: str
    plain: dict[str, object]
    shared: dict[str, NDArray[Any]]
    rows: int = 0
    flagged: bool = False
    columns: dict[str, _Column] = field(default_factory=dict)

    def append(self, message: Message, folder: Path, number: int) -> None:
        arrays = {name: _array(getattr(message, name)) for name in message.per_item}
        arrays["missing"] = _array(message.missing_rows())
        for name, array in arrays.items():
            column = self.columns.setdefault(
                name, _Column(folder / f"{number}-{name}", array.dtype, tuple(array.shape[1:]))
            )
            column.append(array)
        self.rows += len(message)
        self.flagged |= message.missing is not None


def write(path: Path, blocks: Iterable[Mapping[str, Message]]) -> None:
    """Write messages by the name of their variable, block of rows after block.

    Raises:
        OutputError: the file cannot be written.
        MessageError: the blocks do not fit together, or hold a message of a kind that is not pgmgraph's.
    """
    variables: dict[str, _Variable] = {}
    with whole_file(path) as temporary:
        for number, block in enumerate(blocks):
            if number and block.keys() != variables.keys():
                raise MessageError(
                    f"Expected beliefs about {', '.join(variables)} in every block, as in the first; "
                    f"got {', '.join(block)}."
                )
            for place, (name, sent) in enumerate(block.items()):
                message = _known(name, sent)
                found = _described(message)
                variable = variables.setdefault(name, found)
                if not _alike(variable, found):
                    raise MessageError(f"Expected one message about {name} in pieces; got several that differ.")
                variable.append(message, temporary.parent, place)
        _pack(temporary, variables)


def write_arrays(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by their name.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, tensor in tensors.items():
            _put(archive, name, _array(tensor))


def read(path: Path) -> dict[str, Message]:
    """The messages in a file, by the name of their variable.

    Raises:
        DataFileError: the file is missing, truncated, altered or none of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(str(_take(archive, _HEADER)))
            if header["format"] != FORMAT:
                raise ValueError(f"it is of the format {header['format']!r}, not {FORMAT!r}")
            return {name: _message(archive, name, stated) for name, stated in header["variables"].items()}
    except FileNotFoundError as error:
        raise DataFileError(f"Expected a file of beliefs at {path}; got none. Check the path.", path) from error
    except OSError as error:
        raise DataFileError(
            f"Expected a readable file at {path}; got: {error.strerror or error}. Check the path and its permissions.",
            path,
        ) from error
    except _BROKEN as error:
        raise DataFileError(
            f"Expected beliefs in {path}, as Beliefs.save writes them to .npz; got a file that is truncated, altered "
            f"or something else ({error}). Nothing was loaded; save it again.",
            path,
        ) from error


def _known(name: str, message: Message) -> Message:
    """The message as the kind of ours that it is, without what a module may have added to it."""
    kind = next((kind for kind in type(message).__mro__ if _KINDS.get(kind.__name__) is kind), None)
    if kind is None:
        raise MessageError(
            f"Expected a message of {', '.join(_KINDS)} about {name}, to be saved; got {type(message).__name__}."
        )
    if type(message) is kind:
        return message
    return kind(**{one.name: getattr(message, one.name) for one in dataclasses.fields(kind)})


def _described(message: Message) -> _Variable:
    tensors = {*message.per_item, *message.shared, "missing", "items"}  # items, N, is counted here
    plain = {one.name: getattr(message, one.name) for one in dataclasses.fields(message) if one.name not in tensors}
    shared = {name: _array(getattr(message, name)) for name in message.shared}
    return _Variable(type(message).__name__, plain, shared)


def _alike(one: _Variable, other: _Variable) -> bool:
    return (one.kind, one.plain) == (other.kind, other.plain) and all(
        np.array_equal(array, other.shared[name]) for name, array in one.shared.items()
    )


def _pack(path: Path, variables: Mapping[str, _Variable]) -> None:
    """Put the columns into the archive, one after another."""
    with zipfile.ZipFile(path, "w") as archive:
        stated = {
            name: {"kind": one.kind, "rows": one.rows, "flagged": one.flagged, "plain": one.plain}
            for name, one in variables.items()
        }
        _put(archive, _HEADER, np.array(json.dumps({"format": FORMAT, "variables": stated})))
        for name, variable in variables.items():
            for shared, array in variable.shared.items():
                _put(archive, f"{name}.{shared}", array)
            for part, column in variable.columns.items():
                if part != "missing" or variable.flagged:
                    with column.file.open("rb") as rows, _member(archive, f"{name}.{part}") as member:
                        _write_header(member, (column.rows, *column.event), column.dtype)
                        shutil.copyfileobj(rows, member, 2**20)
                column.file.unlink()


def _put(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with _member(archive, name) as member:
        _write_header(member, array.shape, array.dtype)
        member.write(np.ascontiguousarray(array).data)


def _member(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    # Without the time of day, so that the same beliefs make the same file.
    return cast(BinaryIO, archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True))


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    description = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, description)


def _take(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of the archive; all of its bytes are read, so that zipfile compares their checksum."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(info) as member:
        content = member.read()
        if len(content) != info.file_size:
            raise ValueError(f"{name} has {len(content)} bytes instead of {info.file_size}")
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name} is an array of version {version}")
    shape, _, dtype = npy.read_array_header_1_0(stream)
    begin = stream.tell()
    if dtype.hasobject or len(content) - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} does not hold what its header says")
    return np.frombuffer(bytearray(content[begin:]), dtype).reshape(shape)


def _message(archive: zipfile.ZipFile, name: str, stated: Mapping[str, Any]) -> Message:
    kind = _KINDS[stated["kind"]]
    fields = {part: torch.from_numpy(_take(archive, f"{name}.{part}")) for part in (*kind.per_item, *kind.shared)}
    missing = torch.from_numpy(_take(archive, f"{name}.missing")) if stated["flagged"] else None
    items = {} if kind.per_item else {"items": stated["rows"]}
    return kind(**fields, **items, **stated["plain"], missing=missing)


def _array(tensor: Tensor) -> NDArray[Any]:
    try:
        return tensor.detach().cpu().numpy()
    except TypeError as error:
        raise MessageError(f"Expected a type of number that numpy has; got {tensor.dtype}.") from error
