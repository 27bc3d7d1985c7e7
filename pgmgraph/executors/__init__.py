"""Executors: where modules run."""

from pgmgraph.executors.base import Call, Executor, ModuleState, OwnTerms, ProgressWatcher, Submitted, Updated
from pgmgraph.executors.past import Past, Statistics
from pgmgraph.executors.serial import SerialExecutor

__all__ = [
    "Call",
    "Executor",
    "ModuleState",
    "OwnTerms",
    "Past",
    "ProgressWatcher",
    "SerialExecutor",
    "Statistics",
    "Submitted",
    "Updated",
]
