"""Events are frozen records of plain values, in an order that a watcher can rely on."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from pgmgraph import Event, ModelGraph, events, fit
from tests.toys import Centre, Noisy, Regression, observed


def watched(rounds: int) -> list[Event]:
    data, noisy, centre, regression = observed(), Noisy(), Centre(), Regression()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre, regression=regression)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    graph.connect(data.value, regression.x)
    seen: list[Event] = []
    fit(graph, rounds=1)
    fit(graph, rounds=rounds, seed=3, callbacks=[seen.append])
    return seen


def test_the_order_of_events() -> None:
    names = [type(event).__name__ for event in watched(2)]
    a_round = ["RoundStarted", "ModuleUpdated", "ModuleUpdated", "Progress", "ModuleUpdated", "RoundEnded"]
    assert sorted(names) == sorted(["FitStarted", *a_round, *a_round, "FitEnded"])
    assert names[0] == "FitStarted"
    assert names[-1] == "FitEnded"
    assert names[1] == names[7] == "RoundStarted"
    assert names[6] == names[12] == "RoundEnded"


def test_what_events_say() -> None:
    seen = watched(2)
    started, ended = seen[0], seen[-1]
    assert started == events.FitStarted(("noisy", "centre", "regression"), rounds=2, first_round=1, seed=3)
    assert ended == events.FitEnded(2, "rounds")
    assert [event.round for event in seen if isinstance(event, events.RoundStarted)] == [1, 2]
    updated = [event.module for event in seen if isinstance(event, events.ModuleUpdated)]
    assert sorted(updated) == sorted(2 * ["noisy", "centre", "regression"])
    progress = [event for event in seen if isinstance(event, events.Progress)]
    assert [(event.module, event.done, event.total) for event in progress] == [("regression", 1, 1)] * 2
    assert set(progress[0].values) == {"loss"}


def test_events_are_frozen_and_travel() -> None:
    for event in watched(1):
        assert pickle.loads(pickle.dumps(event)) == event
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.round = 7  # type: ignore[misc,union-attr]
