"""Checkpoints: all that learning has changed, on disk, whole, and loadable without running anything.

A checkpoint is a folder: a file for each module that learns, one for the messages on the wires, and `manifest.json`,
which says what is in them, with a hash of each and of itself. The folder is renamed into place when all of it is on the
disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from pgmgraph.atomic import whole_folder
from pgmgraph.errors import CapabilityError, CheckpointError, MessageError, ScheduleError
from pgmgraph.executors import ModuleState, OwnTerms
from pgmgraph.ledger import LedgerState
from pgmgraph.mail import Letters
from pgmgraph.messages import Message
from pgmgraph.snapshots import Snapshot

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FORMAT = 1
"""Raised whenever what is written changes its meaning."""

_MANIFEST = "manifest.json"
_MAIL = "mail.pt"
_MEMORY = "memory"  # no ending, so that no module's file has this name
_PREFIX = "round-"
# What is raised where content has the right hash, so that somebody meant it, and makes no checkpoint all the same.
_NONSENSE = (
    *(LookupError, TypeError, AttributeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError),
    MessageError,
)


@dataclass(frozen=True)
class Checkpoints:
    """When checkpoints are written, and which of them are kept.

    One is written at the end of a round when so many rounds, or so many minutes, have passed since the last one, and
    at the end of learning, however it ends.

    Args:
        rounds: every how many rounds; None leaves it to `minutes`.
        minutes: every how many minutes.
        keep: how many of the last ones are kept. The one with the best F is kept beside them.

    Raises:
        ScheduleError: none would ever be written, or kept.
    """

    rounds: int | None = 1
    minutes: float | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        if self.rounds is None and self.minutes is None:
            raise ScheduleError("Expected checkpoints every so many rounds, or minutes; got neither.")
        if (self.rounds is not None and self.rounds < 1) or (self.minutes is not None and not self.minutes > 0):
            raise ScheduleError(f"Expected at least one round, and more than no minutes; got {self}.")
        if self.keep < 1:
            raise ScheduleError(f"Expected to keep at least one checkpoint; got keep={self.keep}.")

    def due(self, rounds: int, seconds: float) -> bool:
        """Whether to write one, so many rounds and seconds after the last."""
        by_rounds = self.rounds is not None and rounds >= self.rounds
        return by_rounds or (self.minutes is not None and seconds >= 60 * self.minutes)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What learning goes on from.

    Attributes:
        snapshot: modules, mail and counters.
        known: the terms of F; None with objective=False.
        guarantees: what each module that was updated said of F.
        F: the objective; None while it is not known.
        progress: plain values that whoever runs the rounds wants back.
    """

    snapshot: Snapshot
    known: LedgerState | None
    guarantees: Mapping[str, str]
    F: float | None  # the field's own symbol for the objective
    progress: Mapping[str, Any]  # Any: whatever JSON can hold

    @property
    def rounds(self) -> int:
        """How many rounds had been run."""
        return self.snapshot.rounds_done


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; half-written ones are none."""
    return sorted(filter(_is_named, folder.glob(f"{_PREFIX}*")), key=rounds_of)


def _is_named(path: Path) -> bool:
    """Whether a folder has the name of a checkpoint."""
    return path.name.startswith(_PREFIX) and path.name[len(_PREFIX) :].isdecimal()


def rounds_of(path: Path) -> int:
    """How many rounds had been run when the checkpoint of this name was written."""
    return int(path.name[len(_PREFIX) :])


def surplus(there: Sequence[tuple[Path, float | None]], keep: int) -> list[Path]:
    """Which checkpoints, oldest first and each with its F, are neither among the last `keep` nor the best by F."""
    rated = [(value, path) for path, value in there if value is not None]
    best = max(rated)[1] if rated else None
    return [path for path, _ in there[:-keep] if path != best]


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder of checkpoints.

    Returns:
        Its own folder, named for the rounds that were run.

    Raises:
        OutputError: the disk or the folder cannot be written.
        CapabilityError: a module's state holds something else than tensors and plain values.
    """
    path = folder / f"{_PREFIX}{checkpoint.rounds:06d}"
    with whole_folder(path) as temporary:
        files = {_MAIL: _write_file(temporary / _MAIL, _mail_state(checkpoint.snapshot.mail), "the mail")}
        if checkpoint.snapshot.memory:
            files[_MEMORY] = _write_file(temporary / _MEMORY, checkpoint.snapshot.memory, "the memory of a stream")
        for name, state in checkpoint.snapshot.modules.items():
            if state.values is not None:
                files[f"{name}.pt"] = _write_file(temporary / f"{name}.pt", state.values, name)
        manifest = {"format": FORMAT, "torch": torch.__version__, "files": files, **_plain(checkpoint)}
        manifest["sha256"] = _digest(manifest)
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return path


def read(path: Path) -> Checkpoint:
    """Read a checkpoint; every byte is checked before any of it is used, and none of it is run.

    Raises:
        CheckpointError: it is truncated, altered, of another format, or no checkpoint.
    """
    manifest = read_manifest(path)
    try:
        states = {name: _read_file(path, name, stated) for name, stated in manifest["files"].items()}
        return _checkpoint(manifest, states)
    except _NONSENSE as error:
        problem = f"what no checkpoint holds ({type(error).__name__}: {error})"
        raise _refused(path, _MANIFEST, "a checkpoint that pgmgraph wrote", problem) from error


def read_manifest(path: Path) -> Mapping[str, Any]:
    """What a checkpoint says of itself: rounds, F, files; checked against its own hash.

    Raises:
        CheckpointError: see `read`.
    """
    try:
        manifest = json.loads(_bytes(path, _MANIFEST).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, _MANIFEST, "JSON", f"something else ({error})") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise _refused(path, _MANIFEST, "the manifest of a checkpoint", "something else")
    if manifest["format"] != FORMAT:
        raise CheckpointError(
            f"Expected a checkpoint of format {FORMAT} in {path}; got {manifest['format']!r}. "
            "Load it with the version of pgmgraph that wrote it; the run's environment.json names it.",
            path,
        )
    if manifest.get("sha256") != _digest({key: value for key, value in manifest.items() if key != "sha256"}):
        raise _refused(path, _MANIFEST, "what was written", "something else, by its hash")
    if _is_named(path) and manifest.get("rounds") != rounds_of(path):
        raise _refused(path, _MANIFEST, "the rounds that its folder is named for", f"{manifest.get('rounds')!r}")
    return manifest


def _refused(checkpoint: Path, file: str, expected: str, got: str) -> CheckpointError:
    """The error of a checkpoint that is not what it was, with those that could be loaded instead."""
    others = [path for path in found(checkpoint.parent) if path != checkpoint]
    older = [path for path in others if _is_named(checkpoint) and rounds_of(path) < rounds_of(checkpoint)]
    instead = f"Take {older[-1].name}, the one before it." if older else "There is no older one to take instead."
    return CheckpointError(
        f"Expected {expected} in {checkpoint / file}; got {got}. Nothing was loaded. {instead}",
        checkpoint / file,
        tuple(others),
    )


def _write_file(path: Path, state: object, owner: str) -> dict[str, object]:
    """Write a state; what the manifest says of the file."""
    tensors = {where: _described(tensor) for where, tensor in _checked(state, owner)}
    with path.open("wb") as file:
        hashed = _Hashed(file)
        with io.BufferedWriter(hashed) as buffered:
            torch.save(state, buffered)
        hashed.check()
    return {"bytes": hashed.bytes, "sha256": hashed.hash.hexdigest(), "tensors": tensors}


class _Hashed(io.RawIOBase):
    """A file that hashes what goes into it, so that nothing is held in memory for it.

    torch reports a full disk as it pleases, so what was raised is kept, and raised when torch is done.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None
        self.hash, self.bytes = hashlib.sha256(), 0

    def writable(self) -> bool:
        """It is, for as long as torch wants to write."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, unless that has failed before."""
        content = memoryview(data)
        self.hash.update(content)
        self.bytes += content.nbytes
        try:
            if self._error is None:
                self._file.write(content)
        except OSError as error:
            self._error = error
        return content.nbytes

    def check(self) -> None:
        """Raise what was raised as it was written to."""
        if self._error is not None:
            raise self._error


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _checked(state: object, owner: str, where: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state, by their place in it; raises where it holds what no checkpoint can."""
    match state:
        case Tensor():
            yield where, state
        case None | bool() | int() | float() | str():
            return
        case dict():
            for key, value in state.items():
                if not isinstance(key, str | int):
                    raise _not_plain(owner, where, key)
                yield from _checked(value, owner, f"{where}/{key}")
        case list() | tuple():
            for place, value in enumerate(state):
                yield from _checked(value, owner, f"{where}/{place}")
        case _:
            pickle.dumps(state)  # it may have words of its own for why it cannot be written
            raise _not_plain(owner, where, state)


def _not_plain(owner: str, where: str, value: object) -> CapabilityError:
    return CapabilityError(
        f"Expected tensors and plain values in the state of {owner}, for a checkpoint; got {type(value).__name__} at "
        f"{where or '/'}. Make it a tensor in `state_dict`, and what it was in `load_state_dict`.",
        owner,
        "state_dict",
    )


def _mail_state(mail: Letters) -> dict[str, object]:
    return {
        way: {name: _message_state(message.fetched()) for name, message in getattr(mail, way).items()}
        for way in ("forward", "back", "believed")
    }


def _message_state(message: Message) -> dict[str, object]:
    return {"type": type(message).__name__, **{field.name: getattr(message, field.name) for field in fields(message)}}


def _message(state: Mapping[str, Any]) -> Message:
    values = dict(state)
    return _message_types()[values.pop("type")](**values)


def _message_types() -> dict[str, type[Message]]:
    kinds = Message.__subclasses__()
    for kind in kinds:
        kinds.extend(kind.__subclasses__())  # those appended are looked at in their turn
    return {kind.__name__: kind for kind in kinds}


def _plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint holds beside states and messages."""
    snapshot, known = checkpoint.snapshot, checkpoint.known
    return {
        "rounds": checkpoint.rounds,
        "F": checkpoint.F,
        "updates": {name: state.updates for name, state in snapshot.modules.items()},
        "calls": dict(snapshot.calls),
        "beginning": snapshot.beginning,
        "residuals": dict(snapshot.mail.residuals),
        "guarantees": dict(checkpoint.guarantees),
        "updated": None if known is None else sorted(known.updated),
        "terms": None if known is None else {name: one and asdict(one) for name, one in known.terms.items()},
        "progress": dict(checkpoint.progress),
    }


def _checkpoint(manifest: Mapping[str, Any], states: Mapping[str, Any]) -> Checkpoint:
    mail = {
        way: {name: _message(state) for name, state in states[_MAIL][way].items()}
        for way in ("forward", "back", "believed")
    }
    snapshot = Snapshot(
        modules={name: ModuleState(states.get(f"{name}.pt"), n) for name, n in manifest["updates"].items()},
        mail=Letters(**mail, residuals=manifest["residuals"]),
        calls=Counter(manifest["calls"]),
        rounds_done=manifest["rounds"],
        beginning=manifest["beginning"],
        memory=states.get(_MEMORY, {}),
    )
    known = None
    if manifest["terms"] is not None:
        terms = {
            name: one and OwnTerms(**{**one, "common": tuple(one.get("common", ()))})
            for name, one in manifest["terms"].items()
        }
        known = LedgerState(terms, frozenset(manifest["updated"]))
    return Checkpoint(snapshot, known, manifest["guarantees"], manifest["F"], manifest["progress"])


def _digest(manifest: Mapping[str, Any]) -> str:
    # Not sorted: the order of terms decides the last digit of their sum.
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()


def _read_file(checkpoint: Path, name: str, stated: Mapping[str, Any]) -> Mapping[str, Any]:
    content = _bytes(checkpoint, name)
    if hashlib.sha256(content).hexdigest() != stated["sha256"]:
        whole = f"{stated['bytes']} bytes with the hash that {_MANIFEST} states"
        got = "others" if len(content) == stated["bytes"] else f"{len(content)} bytes"
        raise _refused(checkpoint, name, whole, got)
    here = None if torch.cuda.is_available() else "cpu"
    state: Mapping[str, Any] = torch.load(io.BytesIO(content), weights_only=True, map_location=here)
    return state


def _bytes(checkpoint: Path, name: str) -> bytes:
    try:
        return (checkpoint / name).read_bytes()
    except FileNotFoundError as error:
        raise _refused(checkpoint, name, "a file", "none") from error
    except OSError as error:
        raise _refused(checkpoint, name, "a file that can be read", f"the error: {error.strerror}") from error
