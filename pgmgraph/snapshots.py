"""A snapshot: all that learning has changed, so that it can go on from there once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pgmgraph.executors import ModuleState
from pgmgraph.mail import Letters


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Modules, mail and counters of a graph at one moment.

    Attributes:
        modules: what each module has learnt.
        mail: what lies on the wires.
        calls: see `ModelGraph.calls`.
        rounds_done: see `ModelGraph.rounds_done`.
        beginning: see `Engine.beginning`.
        memory: see `ModelGraph.memory`.
    """

    modules: Mapping[str, ModuleState]
    mail: Letters
    calls: Counter[str]
    rounds_done: int
    beginning: int
    memory: Mapping[str, object] = field(default_factory=dict)
