"""Executors: where modules run."""

from pgmgraph.executors.base import Call, Executor, OwnTerms, ProgressWatcher, Updated
from pgmgraph.executors.serial import SerialExecutor

__all__ = ["Call", "Executor", "OwnTerms", "ProgressWatcher", "SerialExecutor", "Updated"]
