"""Packing: messages as numpy arrays, which processes of one machine share without a copy, and mail as references."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph.messages import Message, MessageType
from pgmgraph.plates import Delivery, Parcel


@dataclass(frozen=True, eq=False)
class Packed:
    """A message as it travels: the arrays of its tensors, and its other fields."""

    kind: type[Message]
    arrays: Mapping[str, NDArray[Any]]
    plain: Mapping[str, object]

    @property
    def bytes(self) -> int:
        """How large its arrays are."""
        return sum(array.nbytes for array in self.arrays.values())

    def opened(self) -> Message:
        """The message; its tensors look at the arrays, which may be read-only."""
        tensors = {name: _tensor(array) for name, array in self.arrays.items()}
        fields: dict[str, Any] = {**tensors, **self.plain}  # Any: whatever the kind of message has
        return self.kind(**fields)


def packed(message: Message) -> Packed:
    """A message, ready to travel."""
    arrays: dict[str, NDArray[Any]] = {}
    plain: dict[str, object] = {}
    for one in fields(message):
        value = getattr(message, one.name)
        if isinstance(value, Tensor):
            arrays[one.name] = np.ascontiguousarray(value.detach().cpu().numpy()).reshape(value.shape)
        else:
            plain[one.name] = value
    return Packed(type(message), arrays, plain)


@dataclass(frozen=True, eq=False)
class Letter:
    """What travels from a port: the message, and the belief about its variable where that is another."""

    message: Packed
    belief: Packed | None = None

    def open(self, *, believed: bool) -> Message:
        """The message; or the belief, where that is meant."""
        return ((believed and self.belief) or self.message).opened()

    @property
    def bytes(self) -> int:
        """How large it is."""
        return self.message.bytes + (self.belief.bytes if self.belief else 0)


@dataclass(frozen=True, eq=False)
class Array:
    """A tensor as it travels within what a module has learnt."""

    values: NDArray[Any]


def flattened(state: object) -> object:
    """What a module has learnt, ready to travel: arrays in the place of tensors."""
    match state:
        case Tensor():
            return Array(state.detach().cpu().contiguous().numpy())
        case Mapping():
            return {key: flattened(value) for key, value in state.items()}
        case list():
            return [flattened(value) for value in state]
        case _:
            return state


def restored(state: object) -> object:
    """What a module has learnt, from what travelled; tensors may look at memory that cannot be written."""
    match state:
        case Array():
            return _tensor(state.values)
        case dict():
            return {key: restored(value) for key, value in state.items()}
        case list():
            return [restored(value) for value in state]
        case _:
            return state


def _tensor(array: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # torch warns that it could write to a read-only array; nobody writes to what has travelled.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


Rows: TypeAlias = tuple[int, int]
"""The first row, and the one after the last."""


def split(items: int, parts: int, lengths: Tensor | None = None) -> list[Rows]:
    """Parts of a plate of about one size, none of them empty; sequences, at least as many as parts, stay whole."""
    marks = [items * number // parts for number in range(parts + 1)]
    if lengths is not None:
        ends = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        last = 0
        for number in range(1, parts):
            # At least one sequence for this part, and one for each that follows.
            open_to = (ends[last + 1 : len(ends) - (parts - number)] - marks[number]).abs()
            last += 1 + int(open_to.argmin())
            marks[number] = int(ends[last])
    return list(pairwise(marks))


@dataclass(frozen=True)
class Slot:
    """Where a message lies among the letters that come with a call, and how its receiver takes it.

    Attributes:
        letters: numbers of those that hold it, one after another.
        rows: of each of the letters, those that belong to it; None for all.
        believed: whether the belief is meant, and not the message.
    """

    letters: tuple[int, ...]
    rows: tuple[Rows | None, ...]
    believed: bool
    wanted: MessageType | None
    via: str | None

    def open(self, letters: Sequence[Letter]) -> Parcel:
        """The parcel as it lay in the mail."""
        pieces = []
        for number, rows in zip(self.letters, self.rows, strict=True):
            message = letters[number].open(believed=self.believed)
            pieces.append(message if rows is None else message[slice(*rows)])
        return Parcel(type(pieces[0]).concatenate(pieces), self.wanted, self.via)


Layout: TypeAlias = Mapping[str, Slot | tuple[Slot, ...] | Mapping[str, Slot] | None]
"""The mail of a call, with a slot in the place of each parcel."""


def laid_out(mail: Mapping[str, Delivery], slot_of: Callable[[Parcel], Slot]) -> Layout:
    """The layout of a call's mail."""
    layout: dict[str, Slot | tuple[Slot, ...] | Mapping[str, Slot] | None] = {}
    for port, delivery in mail.items():
        match delivery:
            case None:
                layout[port] = None
            case Parcel():
                layout[port] = slot_of(delivery)
            case tuple():
                layout[port] = tuple(slot_of(parcel) for parcel in delivery)
            case _:
                layout[port] = {key: slot_of(parcel) for key, parcel in delivery.items()}
    return layout


def opened(layout: Layout, letters: Sequence[Letter]) -> dict[str, Delivery]:
    """The mail of a call, from its layout and the letters that came with it."""
    mail: dict[str, Delivery] = {}
    for port, place in layout.items():
        match place:
            case None:
                mail[port] = None
            case Slot():
                mail[port] = place.open(letters)
            case tuple():
                mail[port] = tuple(slot.open(letters) for slot in place)
            case _:
                mail[port] = {key: slot.open(letters) for key, slot in place.items()}
    return mail
