"""References to what lies in Ray's object store, or will: messages, and what modules have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import ray

from pgmgraph.executors.base import ModuleState
from pgmgraph.executors.ray.packing import Letter
from pgmgraph.messages import Message, RemoteMessage

Ref: TypeAlias = Any  # ray.ObjectRef, whose content is whatever was laid there


def fetch(ref: Ref, timeout: float | None = None) -> Any:  # noqa: ANN401
    """What lies there, brought into this process.

    Any: whatever was laid there.

    Raises:
        RayError: it is lost, or what was to make it failed.
    """
    return ray.get(ref, timeout=timeout)


class RemoteLetter(RemoteMessage):
    """A message that lies in the object store, or will."""

    def __init__(self, ref: Ref, *, believed: bool = False) -> None:
        object.__setattr__(self, "ref", ref)
        object.__setattr__(self, "believed", believed)
        object.__setattr__(self, "missing", None)

    ref: Ref
    believed: bool

    def fetched(self) -> Message:
        """See `RemoteMessage`."""
        letter: Letter = fetch(self.ref)
        return ((self.believed and letter.belief) or letter.message).opened()


class RemoteState(ModuleState):
    """What a module has learnt, where it lies in the object store."""

    def __init__(self, ref: Ref, updates: int) -> None:
        object.__setattr__(self, "ref", ref)
        object.__setattr__(self, "updates", updates)

    ref: Ref

    @property
    def values(self) -> Mapping[str, object] | None:
        """See `ModuleState`."""
        values: Mapping[str, object] | None = fetch(self.ref)
        return values
