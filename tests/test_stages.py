"""Stages that are asked for ahead of one another come to what they come to one by one, whatever is lost on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from pgmgraph import Event, FitResult, ModelGraph, RoundEnded, Scores, SerialExecutor, fit
from pgmgraph.errors import WorkerLostError
from pgmgraph.executors import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted
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

    def setup(self, modules: Mapping[str, Module], contexts: Mapping[str, Context], watcher: ProgressWatcher) -> None:
        super().setup(modules, contexts, watcher)
        self._heard = super().save(tuple(modules))

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        return [
            Submitted(one.outbox, self._heard_of(call, one)) for call, one in zip(calls, self._made(calls), strict=True)
        ]

    def _made(self, calls: Sequence[Call]) -> list[Submitted]:
        self.log += [call.module for call in calls]
        return super().update(calls)

    def _heard_of(self, call: Call, submitted: Submitted) -> Callable[[], object]:
        state = super().save([call.module])

        def done() -> object:
            self._perhaps_lose()
            self._heard.update(state)
            return submitted.done()

        return done

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


def learn(executor: SerialExecutor | None, rounds: int = 4, **arguments: object) -> tuple[ModelGraph, FitResult]:
    graph = two_senses(send="sample")
    scores = Scores(graph.modules["seen"].c, LABELS)
    return graph, fit(graph, rounds=rounds, seed=1, callbacks=[scores], executor=executor, **arguments)


def assert_alike(one: tuple[ModelGraph, FitResult], other: tuple[ModelGraph, FitResult]) -> None:
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
def test_ahead_is_as_one_by_one(schedule: object) -> None:
    assert_alike(learn(None, schedule=schedule), learn(Ahead(), schedule=schedule))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_whatever_is_lost_is_done_again(schedule: object) -> None:
    expected = learn(None, schedule=schedule)
    for seed in range(8):
        executor = Ahead(losses=0.15, seed=seed)
        assert_alike(expected, learn(executor, schedule=schedule))
        assert len(executor.log) > sum(len(entry.modules) for entry in expected[1].trace)


def test_the_next_round_is_asked_for_before_this_one_is_done_and_none_after_the_last() -> None:
    executor, order = Ahead(), list[int]()

    def heard(event: Event) -> None:
        if isinstance(event, RoundEnded):
            order.append(len(executor.log))

    fit(two_senses(), rounds=4, executor=executor, callbacks=[heard])
    # Before F is known, what comes next is not asked for: each round has four updates.
    assert order == [4, 12, 16, 16]


def test_convergence_leaves_no_trace_of_what_was_asked_for_ahead() -> None:
    one, other = (
        learn(None, rounds=60, tol=1e-3, schedule=[["sound", "seen"], ["order"], ["vae"]]),
        learn(Ahead(), rounds=60, tol=1e-3, schedule=[["sound", "seen"], ["order"], ["vae"]]),
    )
    assert one[1].reason == other[1].reason
    assert_alike(one, other)
    assert fit(one[0], rounds=2).history["F"] == fit(other[0], rounds=2, executor=Ahead()).history["F"]


def test_a_run_that_was_broken_off_while_a_round_was_under_way_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, RoundEnded) and event.round == 2:
            raise KeyboardInterrupt

    expected = fit(two_senses(send="sample"), rounds=5, seed=1)
    graph = two_senses(send="sample")
    with suppress(KeyboardInterrupt):
        fit(graph, rounds=5, seed=1, executor=Ahead(), callbacks=[stop], run_dir=tmp_path / "run", report=False)
    assert graph.calls["vae"] == 3
    again = two_senses(send="sample")
    resumed = fit(again, rounds=5, seed=1, run_dir=tmp_path / "run", resume=True, report=False)
    assert resumed.history["F"] == expected.history["F"]
