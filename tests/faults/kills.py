"""Runs that are killed again and again."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from pgmgraph.schedules import Schedule
from tests.faults.learner import Answer, answer_of, child, learn


def kill_at_random(folder: Path, schedules: list[Schedule], kills: int, seed: int) -> tuple[Counter[str], list[bool]]:
    """Kill runs at random moments, until there were so many kills, and resume each until it ends.

    Returns:
        At what the kills came; and of each run, whether its result is that of one that was never disturbed.
    """
    undisturbed = [answer_of(learn, folder / f"undisturbed-{place}", one) for place, one in enumerate(schedules)]
    begin = time.monotonic()
    assert answer_of(learn, folder / "timed", schedules[0]) == undisturbed[0]
    longest = time.monotonic() - begin
    moments = random.Random(seed)
    hit: Counter[str] = Counter()
    alike: list[bool] = []
    while hit.total() < kills:
        number = len(alike)
        path, schedule = folder / f"run-{number}", schedules[number % len(schedules)]
        answer = None
        while answer is None and hit.total() < kills:
            answer = _killed(path, schedule, moments.uniform(0, longest))
            if answer is None:
                hit[_at(path)] += 1
        answer = answer or answer_of(learn, path, schedule)
        alike.append(answer == undisturbed[number % len(schedules)])
    return hit, alike


def _killed(path: Path, schedule: Schedule, seconds: float) -> Answer | None:
    """Begin a run, or go on with it, and kill it after so many seconds; how it ended where it was faster."""
    with child(learn, path, schedule) as (process, answers):
        if answers.poll(seconds):
            answer: Answer = answers.recv()
            return answer
        process.kill()
        process.join()
    return None


def _at(path: Path) -> str:
    """What a run was doing when it was killed, told by what it left behind."""
    unfinished = list((path / "checkpoints").glob(".tmp-*"))
    if any(one.name.startswith("round-") for folder in unfinished for one in folder.iterdir()):
        return "removing a checkpoint"
    if unfinished:
        return "writing a checkpoint"
    if not (path / "run.yaml").exists():
        return "setting up"
    return "learning" if any((path / "checkpoints").glob("round-*")) else "before the first checkpoint"
