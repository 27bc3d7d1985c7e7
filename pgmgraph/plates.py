"""The plate as a module sees it: minibatches of its mail, aligned over its ports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import mul
from typing import TypeAlias

import torch
from torch import Tensor

from pgmgraph.messages import GaussianPotential, Index, Message, MessageType, convert
from pgmgraph.prefetch import prefetched

# What is smaller the system keeps in memory once it was read, and there a thread costs a tenth more than it saves.
_PREFETCHED_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True, eq=False)
class Parcel:
    """A message as it lies in the mail, and the type that its receiver takes it as; None for the type that it has."""

    message: Message
    wanted: MessageType | None
    via: str | None = None

    def open(self, index: Index, device: torch.device, dtype: torch.dtype) -> Message:
        """The items at `index`, on `device`, as `dtype`, converted to what is wanted."""
        if isinstance(index, Tensor):
            index = index.to(self.message.device)
        here = self.message[index].to(device, dtype)
        return here if self.wanted is None else convert(here, self.wanted, self.via)


Delivery: TypeAlias = Parcel | tuple[Parcel, ...] | Mapping[str, Parcel] | None
"""What lies at a port: one message, potentials to be multiplied, a family's messages, or nothing."""

Batch: TypeAlias = dict[str, Message | Mapping[str, Message] | Tensor | None]
"""A minibatch: the argument of each port's name; and for a module that looks along time, "sequences"."""


def _product(messages: list[Message]) -> Message:
    potentials = [message for message in messages if isinstance(message, GaussianPotential)]
    return reduce(mul, potentials)


class Batches:
    """A module's mail over the whole plate, handed out in minibatches.

    Items of which nothing was observed below the module (missing at every one of its In ports) are
    left out: they enter no statistic, no gradient and no term of F. Time goes on where nothing is observed: where whole
    sequences are handed out they stay, flagged.

    Args:
        mail: what lies at the module's ports.
        explained: its In ports.
        device, dtype: what messages are moved and cast to.
        sequential: whether minibatches are to hold whole sequences.
        lengths: of the sequences, (S,) int64; None where all rows are one sequence.

    Attributes:
        size: the number of items that are handed out.
        plate_size: the number of items of the plate, missing ones included.
    """

    def __init__(
        self,
        mail: Mapping[str, Delivery],
        explained: frozenset[str],
        device: torch.device,
        dtype: torch.dtype,
        sequential: bool = False,
        lengths: Tensor | None = None,
    ) -> None:
        self._mail = mail
        self._device = device
        self._dtype = dtype
        below = [parcel for port in explained for parcel in _parcels(mail.get(port))]
        anything = below or [parcel for delivery in mail.values() for parcel in _parcels(delivery)]
        self.plate_size = len(anything[0].message) if anything else 0
        alone = torch.tensor([self.plate_size]) if lengths is None else lengths
        self._lengths = alone if sequential else None
        self.rows = None if sequential else _present(below, self.plate_size)
        self.size = self.plate_size if self.rows is None else len(self.rows)
        self._whole: Batch | None = None

    def in_order(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Minibatches in the order of the plate; a single one where `batch_size` is None."""
        if batch_size is None or batch_size >= self.size:
            # Kept, so that modules may lay a whole plate out once for all passes of an update.
            if self._whole is None:
                self._whole = self._take(slice(None) if self.rows is None else self.rows, self._lengths)
            yield self._whole
            return
        if self._lengths is not None:
            yield from self._each(self._whole_sequences(torch.arange(len(self._lengths)), batch_size))
            return
        slices = (slice(begin, min(begin + batch_size, self.size)) for begin in range(0, self.size, batch_size))
        yield from self._each((here if self.rows is None else self.rows[here], None) for here in slices)

    def shuffled(self, batch_size: int) -> Iterator[Batch]:
        """Minibatches of one epoch in a random order, the last one smaller where N demands it.

        Of sequences, as many as fit, and at least one.
        """
        if self._lengths is not None:
            yield from self._each(self._whole_sequences(torch.randperm(len(self._lengths)), batch_size))
            return
        order = torch.randperm(self.size)
        if self.rows is not None:
            order = self.rows[order]
        yield from self._each((order[begin : begin + batch_size], None) for begin in range(0, self.size, batch_size))

    def rows_in(self, batch: Batch, batch_size: int | None) -> int:
        """How many rows the first of the minibatches `in_order` has, given it."""
        sequences = batch.get("sequences")
        return int(sequences.sum()) if isinstance(sequences, Tensor) else min(self.size, batch_size or self.size)

    def placeholder(self) -> Batch:
        """The first item of the plate, missing or not: for the kinds and shapes of what is made of it."""
        return self._take(slice(0, 1), None if self._lengths is None else torch.ones(1, dtype=torch.long))

    def parted(self, last: int) -> tuple[Batches, Batches | None]:
        """The items but for the `last` rows of the plate, and those; None where it is none of them."""
        if not last:
            return self, None
        rows = torch.arange(self.plate_size) if self.rows is None else self.rows
        first = rows < self.plate_size - last
        return self._part(rows[first]), self._part(rows[~first])

    def _part(self, rows: Tensor) -> Batches:
        part = object.__new__(Batches)
        part.__dict__.update(self.__dict__, rows=rows, size=len(rows), _whole=None)
        return part

    def subset(self, items: int, generator: torch.Generator) -> Batches:
        """At most `items` items, drawn by `generator` without replacement; all where there are no more."""
        if items >= self.size or self._lengths is not None:
            return self  # what is known of a step leans on all the others of its sequence
        chosen = torch.randperm(self.size, generator=generator)[:items].sort().values
        return self._part(chosen if self.rows is None else self.rows[chosen])

    def _each(self, indices: Iterable[tuple[Index, Tensor | None]]) -> Iterator[Batch]:
        """A minibatch of each index, and the lengths of the sequences in it; of large mail each is fetched ahead."""
        jobs = (partial(self._take, index, lengths) for index, lengths in indices)
        large = sum(_bytes(parcel.message) for one in self._mail.values() for parcel in _parcels(one))
        return prefetched(jobs) if large > _PREFETCHED_BYTES else (job() for job in jobs)

    def _whole_sequences(self, order: Tensor, batch_size: int) -> Iterator[tuple[Index, Tensor]]:
        """Minibatches of sequences in an order, of at most `batch_size` rows unless a sequence is longer."""
        assert self._lengths is not None
        begins = self._lengths.cumsum(0) - self._lengths
        chosen: list[int] = []
        rows = 0
        for number in order.tolist():
            length = int(self._lengths[number])
            if chosen and rows + length > batch_size:
                yield self._sequences(chosen, begins)
                chosen, rows = [], 0
            chosen.append(number)
            rows += length
        yield self._sequences(chosen, begins)

    def _sequences(self, chosen: list[int], begins: Tensor) -> tuple[Index, Tensor]:
        assert self._lengths is not None
        lengths = self._lengths[chosen]
        starts = [torch.arange(length) + begin for begin, length in zip(begins[chosen], lengths, strict=True)]
        return torch.cat(starts), lengths

    def _take(self, index: Index, lengths: Tensor | None = None) -> Batch:
        batch: Batch = {port: self._open(delivery, index) for port, delivery in self._mail.items()}
        return batch if lengths is None else {**batch, "sequences": lengths}

    def _open(self, delivery: Delivery, index: Index) -> Message | Mapping[str, Message] | None:
        match delivery:
            case None:
                return None
            case Parcel():
                return delivery.open(index, self._device, self._dtype)
            case tuple():
                return _product([parcel.open(index, self._device, self._dtype) for parcel in delivery])
            case _:
                return {key: parcel.open(index, self._device, self._dtype) for key, parcel in delivery.items()}


def _parcels(delivery: Delivery) -> Iterator[Parcel]:
    match delivery:
        case None:
            return
        case Parcel():
            yield delivery
        case tuple():
            yield from delivery
        case _:
            yield from delivery.values()


def _bytes(message: Message) -> int:
    """How large the tensors of a message are."""
    tensors: list[Tensor] = [getattr(message, name) for name in (*message.per_item, *message.shared)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _present(below: list[Parcel], plate_size: int) -> Tensor | None:
    """The rows that something was observed of, (n,) int64, or None for all of them."""
    if not below or any(parcel.message.missing is None for parcel in below):
        return None
    absent = torch.ones(plate_size, dtype=torch.bool)
    for parcel in below:
        absent &= parcel.message.missing_rows().cpu()
    return (~absent).nonzero().flatten() if absent.any() else None
