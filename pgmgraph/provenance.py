"""Provenance: what a run learns from, with what arguments, versions and machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pgmgraph.config import to_config
from pgmgraph.errors import RunError
from pgmgraph.learning import Learning
from pgmgraph.messages import Point, SparsePoint
from pgmgraph.runs import Run, decisive, fingerprint
from pgmgraph.schedules import Schedule

_DISTRIBUTIONS = ("pgmgraph", "torch", "pyro-ppl", "numpy", "scipy", "scikit-learn", "networkx")
_HASHED_WHOLE = 1 << 30
_PIECES = 1024
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def resolved(learning: Learning, arguments: Mapping[str, object]) -> dict[str, Any]:
    """All that decides what is learnt: the graph, the arguments of `fit`, and what its data are.

    Args:
        learning: of which graph, on which data.
        arguments: of `fit`, by name, plain but for the schedule.
    """
    schedule: object = arguments["schedule"]
    fit = {**arguments, "schedule": _schedule(schedule)}  # type: ignore[arg-type]  # it was one that `Learning` took
    data = {name: describe(one.point, one.lengths, one.groups) for name, one in learning.engine.observations.items()}
    return {"graph": to_config(learning.graph, complete=True), "fit": fit, "data": data}


def describe(
    point: Point | SparsePoint, lengths: Tensor | None = None, groups: Mapping[str, Tensor] = MappingProxyType({})
) -> dict[str, Any]:
    """What observed values are: how many, of which shape, and a hash of them with their sequences and groups.

    Of more than a gigabyte, 1,024 pieces that lie evenly spread are hashed.
    """
    n = len(point)
    digest = hashlib.sha256(repr((str(point.dtype), (n, *point.event_shape), point.scale)).encode())
    size = _size(point)
    whole = size <= _HASHED_WHOLE
    step = 65_536 if whole else max(1, n // _PIECES)
    rows = step if whole else max(1, _HASHED_WHOLE // _PIECES * n // size)
    for begin in range(0, n, step):
        for stored in _stored(point[begin : begin + min(rows, step)]):
            digest.update(_bytes(stored))
    if point.missing is not None:
        digest.update(_bytes(point.missing))
    if lengths is not None:
        digest.update(_bytes(lengths))
    for plate, ids in sorted(groups.items()):
        digest.update(plate.encode() + _bytes(ids))
    return {"items": len(point), "event_shape": list(point.event_shape), "sha256": digest.hexdigest()}


def _size(point: Point | SparsePoint) -> int:
    """How many bytes the values take, with the columns where zeros are left out."""
    if isinstance(point, SparsePoint):
        return int(point.lengths.sum()) * (point.columns.element_size() + point.values.element_size())
    return point.value.numel() * point.value.element_size()


def _stored(part: Point | SparsePoint) -> tuple[Tensor, ...]:
    """What is hashed of some rows."""
    if isinstance(part, Point):
        return (part.value,)
    own = part.compact()
    return own.lengths, own.columns, own.values


def _bytes(values: Tensor) -> bytes:
    # numpy knows not all of torch's types, but it knows integers of their sizes.
    return values.cpu().view(_INTEGERS[values.element_size()]).numpy().tobytes()


def compare(run: Run, config: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another graph, other data or other arguments.

    Raises:
        RunError: naming the first thing that differs.
    """
    if fingerprint(run.config) == fingerprint(config):
        return
    place, then, now = _difference(decisive(run.config), decisive(config)) or ("its configuration", "one", "another")
    raise RunError(
        f"Expected {place} = {then}, as {run.path} was begun with; got {now}. Resume with what it was begun with, or "
        "begin another run in a folder of its own.",
        run.path,
    )


def environment() -> dict[str, Any]:
    """Versions, machine, command and time."""
    found = {name: _version(name) for name in _DISTRIBUTIONS}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "python": platform.python_version(),
        "versions": {name: version for name, version in found.items() if version},
        "platform": platform.platform(),
        "machine": platform.node(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _schedule(schedule: Schedule) -> object:
    if isinstance(schedule, str):
        return schedule
    if callable(schedule):
        name = getattr(schedule, "__qualname__", None)
        return {"import": f"{schedule.__module__}:{name}"} if name else {"object": _text(schedule)}
    return [stage if isinstance(stage, str) else list(stage) for stage in schedule]


def _text(value: object) -> str:
    """A value in words, without the address at which it happens to lie."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _difference(then: object, now: object, place: str = "") -> tuple[str, object, object] | None:
    """The first place at which two configurations differ, with what stands there."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            found = _difference(then.get(key), now.get(key), f"{place}.{key}" if place else str(key))
            if found:
                return found
        return None
    return None if then == now else (place, then, now)
