"""The bits of nested values, so that two of them can be told apart by the last digit, in two processes too."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Set

import torch
from torch import Tensor

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits_of(value: object) -> str:
    """A hash of nested values: tensors with their dtypes and strides, messages and other dataclasses, plain values."""
    digest = hashlib.sha256()
    for piece in _pieces(value):
        digest.update(f"{len(piece)} ".encode() + piece)
    return digest.hexdigest()


def _pieces(value: object) -> Iterator[bytes]:
    match value:
        case Tensor():
            yield f"{value.dtype} {tuple(value.shape)} {value.stride()}".encode()
            yield value.detach().cpu().view(_INTEGERS[value.element_size()]).numpy().tobytes()
        case Mapping():
            yield f"{len(value)} by name".encode()
            for key, one in value.items():
                yield repr(key).encode()
                yield from _pieces(one)
        case list() | tuple():
            yield f"{type(value).__name__} of {len(value)}".encode()
            for one in value:
                yield from _pieces(one)
        case Set():
            yield from _pieces(sorted(value))
        case _ if dataclasses.is_dataclass(value):
            yield type(value).__name__.encode()
            for field in dataclasses.fields(value):
                yield from _pieces(getattr(value, field.name))
        case _:
            yield repr(value).encode()  # of a float, all of its digits
