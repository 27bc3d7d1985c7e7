"""Callbacks that come with pgmgraph: the progress display of a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pgmgraph import events
from pgmgraph.events import Event


class ProgressDisplay:
    """Shows rounds, F, scores and the time that is left: live on a terminal, a line a round elsewhere.

    Args:
        title: what is being learnt, in a few words.
        columns: the scores to show, by the names of their columns.
        console: where to write; by default the standard output.
    """

    def __init__(self, title: str, columns: tuple[str, ...] = ("accuracy",), console: Console | None = None) -> None:
        self._title = title
        self._columns = columns
        self._console = console or Console()
        self._live: Progress | None = None
        self._task = TaskID(0)
        self._rounds = self._first = self._begun = 0
        self._begin = self._second = 0.0
        self._last = self._beginning = ""

    def __call__(self, event: Event) -> None:
        """Show what the event changes."""
        match event:
            case events.FitStarted():
                self._start(event)
            case events.BeginningStarted():
                self._beginning = f"beginning {event.number + 1}/{event.beginnings}  "
            case events.BeginningEnded():
                self._beginning = ""
            case events.Progress():
                self._inside(event)
            case events.RoundEnded():
                self._round(event)
            case events.FitEnded():
                self._end()
            case _:
                pass

    def _start(self, event: events.FitStarted) -> None:
        self._rounds, self._first = event.rounds, event.first_round
        self._begin = time.perf_counter()
        self._begun = 0
        if not self._console.is_terminal:
            return
        self._live = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"), console=self._console
        )
        self._task = self._live.add_task(self._title, total=float(event.rounds) or None, now="")
        self._live.start()

    def _inside(self, event: events.Progress) -> None:
        if self._live is None:
            return
        reported = "  ".join(f"{name} {value:.4g}" for name, value in event.values.items())
        now = f"{self._last}  {event.module} {event.done}/{event.total} {reported}".strip()
        self._live.update(self._task, now=now)

    def _round(self, event: events.RoundEnded) -> None:
        done = event.round - self._first + 1
        parts = [f"{self._beginning}round {done}" + (f"/{self._rounds}" if self._rounds else "")]
        if event.F is not None:
            parts.append(f"F {event.F:,.0f}")
        parts += [f"{name} {event.scores[name]:.3f}" for name in self._columns if name in event.scores]
        parts.append(self._time(done, event.seconds))
        self._last = "  ".join(parts)
        if self._live is None:
            self._console.print(f"{self._title}: {self._last}", highlight=False)
        else:
            self._live.update(self._task, completed=float(done), now=self._last)

    def _time(self, done: int, seconds: float) -> str:
        """What the first round took, then what is left, in the end what all of it took."""
        if done >= self._rounds:
            return f"{time.perf_counter() - self._begin:.0f} s"
        # The first round starts every module, and says nothing about the pace of the others. A run that is resumed has
        # its first one later, and one of several beginnings has it again.
        if not self._begun or done <= self._begun:
            self._begun, self._second = done, time.perf_counter()
            return f"{seconds:.0f} s"
        pace = (time.perf_counter() - self._second) / (done - self._begun)
        return f"{pace * (self._rounds - done):.0f} s left"

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
