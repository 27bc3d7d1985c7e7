"""Stages that are asked for ahead of one another come to what they come to one by one, whatever is lost on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TypeVar

import pytest
import torch

from pgmgraph import RoundEnded, Scores, SerialExecutor, fit
from pgmgraph.errors import WorkerLostError
from pgmgraph.executors import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted, Updated
from pgmgraph.module import Context, Module
from tests.executors.ray.graphs import parameters, same, two_senses

T = TypeVar("T")
SCHEDULES = ["bottom_up", "up_down", [["vae", "sound"], "order", ["seen", "sound"]]]
LABELS = torch.arange(90) % 3


class Ahead(SerialExecutor):
    """Lets stages be asked for ahead, and now and then loses what was asked for and has not been heard of."""

    ahead = True

    def __init__(self, losses: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self._losses, self._dice = losses, random.Random(seed)
        self._heard: dict[str, ModuleState] = {}
        self.log: list[str] = []

    def setup(
        self,
        modules: Mapping[str, Module],
        contexts: Mapping[str, Context],
        watcher: ProgressWatcher,
        parts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().setup(modules, contexts, watcher, parts)
        self._heard = super().save(tuple(modules))

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        self.log += [call.module for call in calls]
        return [self._ahead(call, one) for call, one in zip(calls, super().update(calls), strict=True)]

    def _ahead(self, call: Call, submitted: Submitted) -> Submitted:
        state = super().save([call.module])

        def done() -> Updated:
            self._perhaps_lose()
            return submitted.done()

        return Submitted(submitted.outbox, done, lambda: self._heard.update(state))

    def evaluate(self, calls: Sequence[Call]) -> list[Callable[[], OwnTerms | None]]:
        return [self._or_lost(terms) for terms in super().evaluate(calls)]

    def _or_lost(self, answer: Callable[[], T]) -> Callable[[], T]:
        def waited() -> T:
            self._perhaps_lose()
            return answer()

        return waited

    def _perhaps_lose(self) -> None:
        if self._dice.random() < self._losses:
            raise WorkerLostError("A process is gone.", "vae")

    def rewind(self) -> None:
        super().load(self._heard)

    def finish(self) -> None:
        super().load(self._heard)

    def save(self, names: Sequence[str]) -> dict[str, ModuleState]:
        return {name: self._heard[name] for name in names}

    def load(self, states: Mapping[str, ModuleState]) -> None:
        super().load(states)
        self._heard.update(states)


def learn(executor, rounds=3, send="sample", **arguments):
    graph = two_senses(send)
    scores = Scores(graph.modules["seen"].c, LABELS)
    return graph, fit(graph, rounds=rounds, seed=1, callbacks=[scores], executor=executor, **arguments)


def assert_alike(one, other):
    (graph, result), (other_graph, other_result) = one, other
    for column in ("F", "accuracy"):
        assert result.history[column] == other_result.history[column]
    assert [(e.round, e.modules, e.F, e.terms) for e in result.trace] == [
        (e.round, e.modules, e.F, e.terms) for e in other_result.trace
    ]
    assert same(parameters(graph), parameters(other_graph))
    assert graph.calls == other_graph.calls
    for name, belief in result.beliefs.items():
        for field in belief.per_item:
            assert torch.equal(getattr(belief, field), getattr(other_result.beliefs[name], field)), name


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_ahead_is_as_one_by_one_whatever_is_lost_on_the_way(schedule):
    expected = learn(None, schedule=schedule)
    assert_alike(expected, learn(Ahead(), schedule=schedule))
    for seed in range(3):
        executor = Ahead(losses=0.2, seed=seed)
        assert_alike(expected, learn(executor, schedule=schedule))
        assert len(executor.log) > sum(len(entry.modules) for entry in expected[1].trace)


def test_the_next_round_is_asked_for_before_this_one_is_done_and_none_after_the_last():
    executor, asked = Ahead(), []

    def heard(event):
        if isinstance(event, RoundEnded):
            asked.append(len(executor.log))

    fit(two_senses(), rounds=4, executor=executor, callbacks=[heard])
    # Each round has four updates. Before F is known, none is asked for ahead.
    assert asked == [4, 12, 16, 16]


def test_convergence_leaves_no_trace_of_what_was_asked_for_ahead():
    options = {"rounds": 60, "tol": 0.01, "send": "belief", "schedule": [["vae", "sound"], ["seen", "order"]]}
    (graph, result), (other, other_result) = learn(None, **options), learn(Ahead(), **options)
    assert result.reason == "converged"
    assert_alike((graph, result), (other, other_result))
    assert fit(graph, rounds=2).history["F"] == fit(other, rounds=2, executor=Ahead()).history["F"]


def test_a_run_that_was_broken_off_while_a_round_was_under_way_goes_on_as_if_it_had_not_been(tmp_path):
    def stop(event):
        if isinstance(event, RoundEnded) and event.round == 1:
            raise KeyboardInterrupt

    expected = fit(two_senses(send="sample"), rounds=4, seed=1)
    graph = two_senses(send="sample")
    with suppress(KeyboardInterrupt):
        fit(graph, rounds=4, seed=1, executor=Ahead(), callbacks=[stop], run_dir=tmp_path / "run", report=False)
    assert graph.calls["vae"] == 2
    again = two_senses(send="sample")
    resumed = fit(again, rounds=4, seed=1, run_dir=tmp_path / "run", resume=True, report=False)
    assert resumed.history["F"] == expected.history["F"]
