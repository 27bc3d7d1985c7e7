"""Watching: what `pgmgraph fit` shows while a graph learns."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from pgmgraph import events, runs
from pgmgraph.callbacks import ProgressDisplay
from pgmgraph.cli.answers import Answer
from pgmgraph.config import config_text, read_config
from pgmgraph.events import Callback, Event

_STANDARD_ERROR = 2
_NOTED = b"\nInterrupt noted: the module in hand is finished first. A second one leaves at once.\n"


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
        told = dataclasses.asdict(event)
        if isinstance(event, events.FitStarted):
            # It has just been written, with all that was left to defaults.
            config = read_config(path / runs.CONFIG)
            told["configuration"] = config
            if not beside:
                answer.say(config_text(config))
        elif isinstance(event, events.InterruptNoted):
            # It comes in the middle of anything, another write included, in which Python's streams bear no second one.
            os.write(_STANDARD_ERROR, _NOTED)
            return
        if display:
            display(event)
        answer.record({"event": type(event).__name__, "run": title, **told})

    return watch
