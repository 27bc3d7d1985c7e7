"""What every tracker does: a row a round, under restarts as well, and failures that reach nobody."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pytest
import torch

from pgmgraph import FitResult, ModelGraph, Observation, Progress, Scores, fit
from pgmgraph.events import Event, FitEnded, FitStarted
from pgmgraph.learning import Watcher
from pgmgraph.messages import Categorical, Message
from pgmgraph.trackers import Row, Tracker
from pgmgraph_modules.gmm import GMM
from tests.toys import Regression, blobs, observed


class Notebook(Tracker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, Row]] = []
        self.looked: list[int] = []
        self.ended: list[str] = []

    def start(self, event: FitStarted) -> None:
        self.rows.clear()

    def write(self, round: int, row: Row) -> None:
        self.rows.append((round, row))

    def look(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> None:
        self.looked.append(graph.rounds_done)

    def end(self, event: FitEnded) -> None:
        self.ended.append(event.reason)


class Torn(Notebook):
    """Fails whenever it writes, and counts how often it was asked to."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.asked = 0

    def write(self, round: int, row: Row) -> None:
        self.asked += 1
        raise self.error


class Blind(Notebook):
    """Fails when it looks."""

    def look(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> None:
        raise ZeroDivisionError("no eyes")


def learnt(*trackers: Watcher, rounds: int = 4, restarts: int = 1) -> FitResult:
    values, labels = blobs(30)
    data, gmm = Observation(values), GMM(3, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return fit(graph, rounds=rounds, restarts=restarts, restart_rounds=2, callbacks=[Scores(gmm.c, labels), *trackers])


def same(one: FitResult, other: FitResult) -> bool:
    """Whether two results are the same to the last bit, but for the time that they took."""
    beliefs = (one.beliefs["gmm.c"], other.beliefs["gmm.c"])
    assert all(isinstance(belief, Categorical) for belief in beliefs)
    first, second = (belief.probs for belief in beliefs if isinstance(belief, Categorical))
    columns = one.history.keys() - {"seconds"}
    return torch.equal(first, second) and all(one.history[name] == other.history[name] for name in columns)


def test_a_row_holds_what_the_history_holds_and_what_modules_report() -> None:
    notebook = Notebook()
    heard: list[Event] = []
    result = learnt(notebook, heard.append)
    assert [round for round, _ in notebook.rows] == [0, 1, 2, 3]
    for name, column in result.history.items():
        assert [row[name] for _, row in notebook.rows] == column
    reported = {event.round: event.values["bound"] for event in heard if isinstance(event, Progress) and event.values}
    assert reported
    assert {round: row["gmm/bound"] for round, row in notebook.rows if "gmm/bound" in row} == reported
    assert all(0 < row["seconds/gmm"] <= row["seconds"] for _, row in notebook.rows)
    assert notebook.looked == [0, 1, 2, 3]
    assert notebook.ended == ["rounds"]


def test_of_several_reports_in_a_round_the_last_counts() -> None:
    data, regression = observed(), Regression()
    graph = ModelGraph(data=data, regression=regression)
    graph.connect(data.value, regression.x)
    notebook = Notebook()
    losses: list[float] = []
    fit(graph, schedule=["regression", "regression"], callbacks=[notebook, lambda event: _loss(event, losses)])
    [(_, row)] = notebook.rows
    assert row["regression/loss"] == losses[-1]
    assert len(losses) == 2


def _loss(event: Event, losses: list[float]) -> None:
    if isinstance(event, Progress):
        losses.append(event.values["loss"])


def test_rows_of_beginnings_and_then_those_of_the_best() -> None:
    notebook = Notebook()
    result = learnt(notebook, restarts=3)
    best = result.beginnings.index(max(result.beginnings))
    prefixes = [{name.split("/")[0] for name in row if name.startswith("beginning")} for _, row in notebook.rows]
    assert prefixes == [{f"beginning {number}"} for number in (1, 1, 2, 2, 3, 3)] + [set()] * 4
    main = notebook.rows[6:]
    assert [round for round, _ in main] == [0, 1, 2, 3]
    for name, column in result.history.items():
        assert [row[name] for _, row in main] == column
    again = [
        (round, {name.removeprefix(f"beginning {best + 1}/"): value for name, value in row.items()})
        for round, row in notebook.rows[2 * best : 2 * best + 2]
    ]
    assert main[:2] == again
    assert notebook.looked == [2, 3], "beliefs of beginnings that may be given up are not shown"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("bug"), BaseException("worse")])
def test_a_failure_is_warned_of_once_and_changes_nothing(error: BaseException) -> None:
    undisturbed = learnt()
    torn = Torn(error)
    with pytest.warns(UserWarning, match="Torn failed and keeps silent from here on") as caught:
        disturbed = learnt(torn)
    [warning] = caught
    assert str(warning.message).endswith(f"{type(error).__name__}: {error}")
    assert torn.asked == 1
    assert torn.ended == []
    assert same(disturbed, undisturbed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learnt(torn)
    assert torn.asked == 1


def test_a_failure_to_look_is_a_failure() -> None:
    blind = Blind()
    with pytest.warns(UserWarning, match="Blind failed .* ZeroDivisionError: no eyes"):
        learnt(blind)
    assert blind.rows == []


def test_the_others_go_on() -> None:
    notebook = Notebook()
    with pytest.warns(UserWarning, match="Torn failed"):
        learnt(Torn(OSError("away")), notebook)
    assert len(notebook.rows) == 4


def test_a_long_cause_is_cut() -> None:
    with pytest.warns(UserWarning, match="Torn failed") as caught:
        learnt(Torn(OSError("many words " * 200)))
    assert len(str(caught[0].message)) < 500


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_passes(stop: type[BaseException]) -> None:
    torn = Torn(stop())
    with pytest.raises(stop):
        learnt(torn)
    assert len(torn.ended) == 1, "the tracker did not fail, and hears of the end"
