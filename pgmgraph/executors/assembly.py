"""An assembly: messages and terms for the whole plate, put together once from those of its minibatches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.executors.spill import Spill
from pgmgraph.messages import Message
from pgmgraph.module import Outbox, Terms
from pgmgraph.plates import Batches


class Growing(Protocol):
    """A message that grows piece by piece."""

    def add(self, piece: Message) -> None:
        """The items that come next."""

    def whole(self) -> Message:
        """The message for every item of the plate, those that were left out flagged missing."""


class Assembly:
    """What a module sends, put together from what it sends of each minibatch in turn.

    The tensors of the plate are made when the first piece shows their shapes, and filled in order: at no time does
    anything lie in memory twice. Items that were left out of the minibatches get placeholders in place.

    Args:
        batches: what the pieces are of.
        spill: which messages lie on the disk; None for none.

    Attributes:
        done: how many items have been added.
    """

    def __init__(self, batches: Batches, spill: Spill | None) -> None:
        self._batches, self._spill = batches, spill
        self._messages: dict[str, Growing | dict[str, Growing]] = {}
        self._beliefs: dict[str, Growing] = {}
        self._terms: TermsAssembly | None = None
        self.done = 0

    def add(self, piece: Outbox, n: int) -> None:
        """What is sent of the next n items."""
        if not self.done:
            self._begin(piece)
        for port, message in piece.messages.items():
            growing = self._messages[port]
            if isinstance(message, Message):
                assert not isinstance(growing, dict)
                growing.add(message)
                continue
            assert isinstance(growing, dict)
            for key, one in message.items():
                growing[key].add(one)
        for port, belief in piece.beliefs.items():
            self._beliefs[port].add(belief)
        if self._terms is not None:
            self._terms.add(piece.elbo or {}, n)
        self.done += n

    def whole(self) -> Outbox:
        """What is sent of the plate."""
        messages: dict[str, Message | Mapping[str, Message]] = {
            port: {key: one.whole() for key, one in growing.items()} if isinstance(growing, dict) else growing.whole()
            for port, growing in self._messages.items()
        }
        beliefs = {port: growing.whole() for port, growing in self._beliefs.items()}
        terms = None if self._terms is None else self._terms.whole()
        return Outbox(elbo=terms, beliefs=beliefs, **messages)

    def _begin(self, first: Outbox) -> None:
        for port, message in first.messages.items():
            if isinstance(message, Message):
                self._messages[port] = self._growing(message)
            else:
                self._messages[port] = {key: self._growing(one) for key, one in message.items()}
        self._beliefs = {port: self._growing(belief) for port, belief in first.beliefs.items()}
        self._terms = None if first.elbo is None else TermsAssembly(self._batches.size, self._spill)

    def _growing(self, first: Message) -> Growing:
        return growing(first, self._batches, self._spill)


def growing(first: Message, batches: Batches, spill: Spill | None) -> Growing:
    """What a message grows in, of which this is the first piece; the piece is still to be added."""
    kind = type(first)
    own = any("concatenate" in vars(one) for one in kind.__mro__[: kind.__mro__.index(Message)])
    return _Listed(batches) if own else _Filled(first, batches, spill)


class _Listed:
    """A message whose pieces know by themselves how they are joined: there is little or nothing in them for an item."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._pieces: list[Message] = []

    def add(self, piece: Message) -> None:
        """See `Growing.add`."""
        self._pieces.append(piece)

    def whole(self) -> Message:
        """See `Growing.whole`."""
        joined = type(self._pieces[0]).concatenate(self._pieces)
        rows = self._batches.rows
        return joined if rows is None else joined.spread(rows.to(joined.device), self._batches.plate_size)


class _Filled:
    """A message whose tensors are filled row by row."""

    def __init__(self, first: Message, batches: Batches, spill: Spill | None) -> None:
        self._first, self._rows, self._plate_size = first, batches.rows, batches.plate_size
        tensors = {name: getattr(first, name) for name in first.per_item}
        shapes = {name: ((self._plate_size, *one.shape[1:]), one.dtype) for name, one in tensors.items()}
        self._spill = spill if spill and spill.takes(shapes.values()) else None
        single = self._rows is None and len(first) == batches.size
        # A single piece is the message, without a copy.
        self._alone = self._spill is None and single
        self._tensors: dict[str, Tensor] = {}
        if self._spill and single:
            self._tensors = {name: _laid_like(one, self._spill) for name, one in tensors.items()}
        elif not self._alone:
            self._tensors = {name: self._room(shape, dtype) for name, (shape, dtype) in shapes.items()}
        self._missing: Tensor | None = None
        if self._rows is not None:
            self._missing = self._room((self._plate_size,), torch.bool).fill_(True)
        self._done = 0

    def add(self, piece: Message) -> None:
        """See `Growing.add`."""
        begin, end = self._done, self._done + len(piece)
        self._done = end
        if self._alone:
            return
        self._check_alike(piece)
        here = slice(begin, end) if self._rows is None else self._rows[begin:end]
        if piece.missing is not None and self._missing is None:
            self._missing = self._room((self._plate_size,), torch.bool).fill_(False)
        if self._missing is not None:
            _put(self._missing, here, piece.missing_rows())
        for name, tensor in self._tensors.items():
            _put(tensor, here, getattr(piece, name))

    def whole(self) -> Message:
        """See `Growing.whole`."""
        if self._alone:
            return self._first
        if self._rows is not None:
            self._blank_others(self._rows)
        changes = dict(self._tensors)
        if self._spill:
            changes.update({name: getattr(self._first, name).cpu() for name in self._first.shared})
        return dataclasses.replace(self._first, missing=self._missing, **changes)

    def _room(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self._spill:
            return self._spill.empty(shape, dtype)
        return torch.empty(shape, dtype=dtype, device=self._first.device)

    def _blank_others(self, rows: Tensor) -> None:
        """Placeholders where no piece has been."""
        others = torch.ones(self._plate_size, dtype=torch.bool)
        others[rows] = False
        here = others.nonzero().flatten()
        blank = self._first.blank(1)
        for name, tensor in self._tensors.items():
            placeholder: Tensor = getattr(blank, name)
            _put(tensor, here, placeholder.expand(len(here), *placeholder.shape[1:]))

    def _check_alike(self, piece: Message) -> None:
        if type(piece) is not type(self._first):
            raise MessageError(
                f"Expected a {type(self._first).__name__} of every minibatch, as of the first; got a "
                f"{type(piece).__name__}."
            )
        for name, tensor in self._tensors.items():
            one: Tensor = getattr(piece, name)
            if one.shape[1:] != tensor.shape[1:] or one.dtype != tensor.dtype:
                raise MessageError(
                    f"Expected {type(piece).__name__}.{name} of every minibatch as of the first, "
                    f"{tuple(tensor.shape[1:])} {tensor.dtype} an item; got {tuple(one.shape[1:])} {one.dtype}."
                )


class TermsAssembly:
    """Terms of F, put together piece by piece: those of items one after another, those of all once.

    Args:
        size: how many items there are.
        spill: which terms lie on the disk; None for none.
    """

    def __init__(self, size: int, spill: Spill | None) -> None:
        self._size, self._spill = size, spill
        self._terms: dict[str, Tensor] = {}
        self._done = 0

    def add(self, piece: Terms, n: int) -> None:
        """The terms of the next n items, (n,) or ()."""
        if not self._terms:
            self._terms = {name: term if self._whole(term, n) else self._room(term) for name, term in piece.items()}
        for name, whole in self._terms.items():
            if not self._whole(piece[name], n):
                whole[self._done : self._done + n] = piece[name]
        self._done += n

    def whole(self) -> Terms:
        """The terms of the plate, (size,) or ()."""
        return self._terms

    def _whole(self, term: Tensor, n: int) -> bool:
        return not term.ndim or n == self._size

    def _room(self, first: Tensor) -> Tensor:
        # They are summed as float64.
        shape, dtype = (self._size,), torch.float64
        if self._spill and self._spill.takes([(shape, dtype)]):
            return self._spill.empty(shape, dtype)
        return torch.empty(shape, dtype=dtype, device=first.device)


def _laid_like(tensor: Tensor, spill: Spill) -> Tensor:
    """Room for a tensor with its dimensions in the same order: products of matrices differ by it in the last digit."""
    if 0 in tensor.stride():
        return spill.empty(tensor.shape, tensor.dtype)
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    room = spill.empty([tensor.shape[place] for place in order], tensor.dtype)
    return room.permute([order.index(place) for place in range(tensor.ndim)])


def _put(target: Tensor, here: slice | Tensor, values: Tensor) -> None:
    with torch.no_grad():
        if isinstance(here, slice):
            target[here].copy_(values)
        else:
            target.index_copy_(0, here.to(target.device), values.to(target.device))
