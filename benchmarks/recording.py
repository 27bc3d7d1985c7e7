"""What a run directory costs a round: checkpoints after every round, and a line of history."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.report import Cell, Table
from benchmarks.rounds import SEED, Case
from pgmgraph import Event, RoundEnded, RoundStarted, fit
from pgmgraph.journal import Journal, read_journal

LIMIT = 0.02
HISTORY_LIMIT = 0.001


class Pauses:
    """Seconds of each round, and from its end to the beginning of the next, when its outcome is recorded.

    Attributes:
        rounds: on the clock, the first round left out.
        pauses: on the clock.
        cpu: of the processor's time, with what other threads did in the round and the pause after it.
    """

    def __init__(self) -> None:
        self.rounds: list[float] = []
        self.pauses: list[float] = []
        self.cpu: list[float] = []
        self._ended = self._began = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case RoundStarted():
                now = time.process_time()
                if event.round > 1:
                    self.pauses.append(time.perf_counter() - self._ended)
                    self.cpu.append(now - self._began)
                self._began = now
            case RoundEnded():
                self._ended = time.perf_counter()
                if event.round > 0:
                    self.rounds.append(event.seconds)


def recording_table(case: Case) -> Table:
    """Rounds without a run directory, and with a checkpoint after each."""
    without, recorded = Pauses(), Pauses()
    fit(case.graph(), rounds=case.rounds + 2, seed=SEED, callbacks=[without])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        fit(case.graph(), rounds=case.rounds + 2, seed=SEED, callbacks=[recorded], run_dir=path)
        sizes = sum(file.stat().st_size for file in max((path / "checkpoints").iterdir()).iterdir())
        line = _line_seconds(path / "history.jsonl")
    whole = median(recorded.rounds)
    pause = median(recorded.pauses) - median(without.pauses)
    row: dict[str, Cell] = {
        "case": case.name,
        "round, s": whole,
        "waiting for checkpoints, ms": 1e3 * pause,
        "share of a round": pause / whole,
        f"limit {LIMIT:.0%}": "met" if pause < LIMIT * whole else "missed",
        "processor's time, with / without": median(recorded.cpu) / median(without.cpu),
        "checkpoint, MB": sizes / 1e6,
        "line of history, ms": 1e3 * line,
        "share of history": line / whole,
        f"limit {HISTORY_LIMIT:.1%}": "met" if line < HISTORY_LIMIT * whole else "missed",
    }
    notes = [
        "A checkpoint is copied after every round, and written in the background during the next: waiting is the time "
        "from the end of a round to the beginning of the next, less what that takes without a run directory.",
        "The processor's time holds what the background does; it counts where no core is free.",
        "Medians over the rounds after the first two.",
    ]
    return Table("recording", "What checkpoints and history cost a round", [row], notes)


def _line_seconds(history: Path) -> float:
    """What the line of one round takes to be written."""
    records = read_journal(history)
    journal = Journal(history.with_name("again.jsonl"))
    begin = time.perf_counter()
    for record in records:
        journal.append(record)
    return (time.perf_counter() - begin) / len(records)
