"""Watching: what `pgmgraph fit` shows while a graph learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pgmgraph import events, runs
from pgmgraph.callbacks import ProgressDisplay
from pgmgraph.cli.answers import Answer, complain
from pgmgraph.events import Callback, Event


def watcher(answer: Answer, path: Path, scores: tuple[str, ...], beside: str = "") -> Callback:
    """A callback that shows events: as records to a program, else as a live display or as lines.

    Args:
        answer: where to.
        path: of the run directory.
        scores: the columns that are shown of each round.
        beside: the run that this one goes beside, as its control; the configuration is then that run's, and not shown.
    """
    title = f"{beside}/{path.name}" if beside else path.name
    display = None if answer.machine else ProgressDisplay(title, scores, answer.console)

    def watch(event: Event) -> None:
        if isinstance(event, events.FitStarted) and not beside:
            # It has just been written, with all that was left to defaults.
            answer.say((path / runs.CONFIG).read_text(encoding="utf-8"))
        elif isinstance(event, events.InterruptNoted):
            complain("Interrupt noted: the module in hand is finished first. A second one leaves at once.")
        if display:
            display(event)
        answer.record({"event": type(event).__name__, "run": title, **dataclasses.asdict(event)})

    return watch
