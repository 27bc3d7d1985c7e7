"""References to what lies in Ray's object store, or will: messages, and what modules have learnt."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError

from pgmgraph.errors import WorkerLostError
from pgmgraph.executors.base import ModuleState
from pgmgraph.executors.ray.packing import Letter, Rows, packed, restored
from pgmgraph.messages import Message, RemoteMessage

Ref: TypeAlias = Any  # ray.ObjectRef, whose content is whatever was laid there
Piece: TypeAlias = tuple[Ref, Rows | None]
"""A letter and those of its rows that are meant; None for all."""


def fetch(ref: Ref, timeout: float | None = None) -> Any:  # noqa: ANN401
    """What lies there, brought into this process.

    Any: whatever was laid there.

    Raises:
        RayError: it is lost, or what was to make it failed.
    """
    return ray.get(ref, timeout=timeout)


@dataclass
class Traffic:
    """What has gone over the wires.

    Attributes:
        sent: the bytes of the last message that left by each port.
        fetched: the bytes of messages that were brought into the process that calls.
    """

    sent: dict[str, int] = field(default_factory=dict)
    fetched: int = 0


class RemoteLetter(RemoteMessage):
    """A message that lies in the object store, or will: whole, or in parts of which each has its rows of the plate."""

    refs: tuple[Ref, ...]
    parts: tuple[Rows, ...] | None
    believed: bool
    traffic: Traffic

    def __init__(
        self, refs: tuple[Ref, ...], parts: tuple[Rows, ...] | None, traffic: Traffic, *, believed: bool = False
    ) -> None:
        fields = {"refs": refs, "parts": parts, "traffic": traffic, "believed": believed, "missing": None}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def fetched(self) -> Message:
        """See `RemoteMessage`."""
        try:
            letters: list[Letter] = [fetch(ref) for ref in self.refs]
        except RayError as error:
            raise WorkerLostError(f"A message was lost on its way here: {error}") from error
        self.traffic.fetched += sum(letter.bytes for letter in letters)
        pieces = [letter.open(believed=self.believed) for letter in letters]
        return type(pieces[0]).concatenate(pieces)

    def pieces(self, rows: Rows | None) -> list[Piece]:
        """Where the given rows of it lie."""
        if self.parts is None:
            return [(self.refs[0], rows)]
        if rows is None:
            return [(ref, None) for ref in self.refs]
        found: list[Piece] = []
        for ref, (begin, end) in zip(self.refs, self.parts, strict=True):
            first, last = max(begin, rows[0]), min(end, rows[1])
            if first < last:
                found.append((ref, None if (first, last) == (begin, end) else (first - begin, last - begin)))
        return found or [(self.refs[0], (0, 0))]


class RemoteState(ModuleState):
    """What a module has learnt, where it lies in the object store."""

    ref: Ref

    def __init__(self, ref: Ref, updates: int) -> None:
        object.__setattr__(self, "ref", ref)
        object.__setattr__(self, "updates", updates)

    @property
    def values(self) -> Mapping[str, object] | None:
        """See `ModuleState`; brought here each time that it is looked at."""
        values = restored(fetch(self.ref))
        assert values is None or isinstance(values, Mapping)
        return values


class Store:
    """Where messages lie: those of this process are laid into the object store, once, as long as they live.

    Attributes:
        traffic: what went over the wires.
    """

    def __init__(self) -> None:
        self.traffic = Traffic()
        self._laid: weakref.WeakKeyDictionary[Message, dict[Rows | None, Ref]] = weakref.WeakKeyDictionary()

    def pieces(self, message: Message, rows: Rows | None) -> list[Piece]:
        """Where the given rows of a message lie; None for all of them."""
        if isinstance(message, RemoteLetter):
            return message.pieces(rows)
        laid = self._laid.setdefault(message, {})
        if rows not in laid:
            part = message if rows is None else message[slice(*rows)]
            laid[rows] = ray.put(Letter(packed(part)))
        return [(laid[rows], None)]
