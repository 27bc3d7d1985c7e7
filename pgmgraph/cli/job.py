"""A job: one graph that is to learn in a run directory, and all that goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pgmgraph import Callback, Executor, Scorer, Scores, fit
from pgmgraph.cli.answers import Answer
from pgmgraph.cli.sources import Arrays
from pgmgraph.cli.watching import watcher
from pgmgraph.errors import Interrupted, UnknownNameError, suggestion
from pgmgraph.fit import FitResult
from pgmgraph.graph import ModelGraph
from pgmgraph.ports import OutPort
from pgmgraph.runs import CONFIG

if TYPE_CHECKING:
    from pgmgraph.trackers import Tracker


@dataclass
class Job:
    """One graph that is to learn, and all that goes with it.

    Attributes:
        graph: the graph, not yet fitted.
        data: what `fit` must be given besides it.
        path: the run directory.
        arguments: of `fit`.
        labels: integers by the name of the variable that they are compared with.
        notes: what the run directory is to keep.
        trackers: callbacks besides the display.
        beside: the name of the run that it is the control of, if any.
    """

    graph: ModelGraph
    data: Arrays | None
    path: Path
    arguments: Mapping[str, Any]
    labels: Mapping[str, NDArray[np.int64]]
    notes: Mapping[str, Any] = field(default_factory=dict)
    trackers: Sequence[Tracker] = ()
    beside: str = ""

    def run(self, answer: Answer, resume: bool | str = False, executor: Executor | None = None) -> FitResult:
        """Learn, and show it; modules run where the executor says."""
        prefixes = {name: f"{name} " if len(self.labels) > 1 else "" for name in self.labels}
        scorers = [Scores(_variable(self.graph, name), labels, prefixes[name]) for name, labels in self.labels.items()]
        shown = tuple(f"{prefix}accuracy" for prefix in prefixes.values())
        watch = watcher(answer, self.path, shown, self.beside)
        callbacks: list[Callback | Scorer] = [watch, *scorers, *self.trackers]
        try:
            return fit(
                self.graph,
                self.data,
                **self.arguments,
                callbacks=callbacks,
                run_dir=self.path,
                resume=resume,
                report=False,
                notes=self.notes,
                executor=executor,
            )
        except Interrupted:
            raise
        except KeyboardInterrupt:
            if not (self.path / CONFIG).is_file():
                raise
            text = f"Interrupted at once. Go on from the last checkpoint: pgmgraph resume {self.path}"
            raise KeyboardInterrupt(text) from None


def _variable(graph: ModelGraph, name: str) -> OutPort:
    """The variable of this name.

    Raises:
        UnknownNameError: there is none.
    """
    variables = graph.variables
    if name not in variables:
        raise UnknownNameError(
            f"No variable named {name!r} to score.{suggestion(name, variables)} There are: {', '.join(variables)}.",
            name,
        )
    return variables[name]
