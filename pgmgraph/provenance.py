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
from typing import Any

import torch
from torch import Tensor

from pgmgraph.config import to_config
from pgmgraph.errors import RunError
from pgmgraph.learning import Learning
from pgmgraph.messages import Point
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
    data = {name: describe(one.point, one.lengths) for name, one in learning.engine.observations.items()}
    return {"graph": to_config(learning.graph, complete=True), "fit": fit, "data": data}


def describe(point: Point, lengths: Tensor | None = None) -> dict[str, Any]:
    """What observed values are: how many, of which shape, and a hash of them, with the `lengths` of their sequences.

    Of more than a gigabyte, 1,024 pieces that lie evenly spread are hashed.
    """
    value = point.value
    digest = hashlib.sha256(repr((str(value.dtype), tuple(value.shape), point.scale)).encode())
    whole = value.numel() * value.element_size() <= _HASHED_WHOLE
    step = 65_536 if whole else max(1, len(value) // _PIECES)
    rows = step if whole else max(1, _HASHED_WHOLE // _PIECES // max(1, value[:1].numel() * value.element_size()))
    for begin in range(0, len(value), step):
        digest.update(_bytes(value[begin : begin + min(rows, step)]))
    if point.missing is not None:
        digest.update(_bytes(point.missing))
    if lengths is not None:
        digest.update(_bytes(lengths))
    return {"items": len(point), "event_shape": list(point.event_shape), "sha256": digest.hexdigest()}


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
