"""The progress display away from a terminal: a line a round."""

from __future__ import annotations

import io

from rich.console import Console

from pgmgraph import ModelGraph, Observation, ProgressDisplay, Scores, events, fit
from pgmgraph.learning import Watcher
from pgmgraph_modules.gmm import GMM
from tests.toys import blobs


def shown(terminal: bool, columns: tuple[str, ...] = ("accuracy",), restarts: int = 1) -> str:
    values, labels = blobs(30)
    data, gmm = Observation(values), GMM(3, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    watchers: list[Watcher] = [Scores(gmm.c, labels), ProgressDisplay("blobs", columns, console)]
    fit(graph, rounds=3, restarts=restarts, restart_rounds=2, callbacks=watchers)
    return out.getvalue()


def test_a_line_a_round() -> None:
    lines = shown(terminal=False).splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"blobs: round {number}/3  F -")
        assert "accuracy 1.000" in line
    assert lines[1].endswith("s left"), "the pace of the later rounds"
    for line in (lines[0], lines[2]):
        assert line.endswith(" s")
        assert "left" not in line


def test_a_resumed_run_tells_its_own_pace() -> None:
    out = io.StringIO()
    show = ProgressDisplay("later", console=Console(file=out, width=120, color_system=None))
    show(events.FitStarted(("gmm",), rounds=10, first_round=0, seed=0))
    for round in (6, 7, 8):
        show(events.RoundEnded(round, None, 0.0, {}))
    lines = out.getvalue().splitlines()
    assert lines[0] == "later: round 7/10  0 s"
    assert lines[1:] == ["later: round 8/10  0 s left", "later: round 9/10  0 s left"]


def test_columns_that_are_asked_for() -> None:
    assert "nmi 1.000  ari 1.000" in shown(terminal=False, columns=("nmi", "ari"))
    assert "accuracy" not in shown(terminal=False, columns=("nmi",))


def test_a_terminal_shows_a_bar_that_ends_full() -> None:
    text = shown(terminal=True)
    assert "round 3/3" in text
    assert "blobs: round" not in text


def test_beginnings_are_numbered() -> None:
    lines = shown(terminal=False, restarts=2).splitlines()
    begun = [line.removeprefix("blobs: ").split("  F")[0] for line in lines]
    first, second = "beginning 1/2  round", "beginning 2/2  round"
    assert begun == [f"{first} 1/3", f"{first} 2/3", f"{second} 1/3", f"{second} 2/3", "round 3/3"]
