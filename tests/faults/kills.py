"""Runs that are killed again and again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

from pgmgraph.schedules import Schedule
from tests.faults.learner import Answer, answer_of, child, learn


def kill_at_random(folder: Path, schedules: list[Schedule], kills: int, seed: int) -> tuple[Counter[str], list[bool]]:
    """Kill runs at random moments, until there were so many kills, and resume each until it ends.

    Returns:
        At what the kills came; and of each run, whether its result is that of one that was never disturbed.
    """
    moments = random.Random(seed)
    left = iter(range(kills))
    hit: Counter[str] = Counter()
    alike: list[bool] = []
    undisturbed = [answer_of(learn, folder / f"undisturbed-{place}", one) for place, one in enumerate(schedules)]
    begin = time.monotonic()
    assert answer_of(learn, folder / "timed", schedules[0]) == undisturbed[0]
    longest = time.monotonic() - begin
    for number, (schedule, expected) in zip(count(), cycle(zip(schedules, undisturbed, strict=True)), strict=False):
        path = folder / f"run-{number}"
        answer = _disturbed(path, schedule, (moments.uniform(0, longest) for _ in left), hit)
        alike.append(answer == expected)
        if hit.total() == kills:
            break
    return hit, alike


def _disturbed(path: Path, schedule: Schedule, moments: Iterator[float], hit: Counter[str]) -> Answer:
    """How a run ends, though it is killed after so many seconds, as long as there are any, each time it goes on."""
    for seconds in moments:
        with child(learn, path, schedule) as (process, answers):
            if answers.poll(seconds):
                answer: Answer = answers.recv()
                break
            process.kill()
            process.join()
        hit[_at(path)] += 1
    else:
        answer = answer_of(learn, path, schedule)
    return answer


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
