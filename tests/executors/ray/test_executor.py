"""Modules in other processes learn what they would learn in this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from pgmgraph import Event, FitResult, ModelGraph, ModuleUpdated, Observation, Progress, fit, infer
from pgmgraph.errors import DivergedError, UnknownNameError, WorkerError
from tests.executors.ray.graphs import parameters, same, two_senses
from tests.refusals import refused
from tests.toys import Centre

ray = pytest.importorskip("ray", reason="needs the extra `ray`")

from pgmgraph.executors.ray import RayExecutor  # noqa: E402


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    with RayExecutor(resources={}, patience=120) as made:
        yield made


def learn(executor: RayExecutor | None, heard: list[Event], **arguments: object) -> tuple[ModelGraph, FitResult]:
    graph = two_senses(send="sample")
    return graph, fit(graph, rounds=3, seed=1, callbacks=[heard.append], executor=executor, **arguments)  # type: ignore[arg-type]


def test_what_is_learnt_elsewhere_is_what_is_learnt_here_bit_for_bit(executor: RayExecutor, tmp_path: Path) -> None:
    here, there = list[Event](), list[Event]()
    alone, one = learn(None, here, schedule="up_down")
    spread, other = learn(executor, there, schedule="up_down", run_dir=tmp_path / "run", report=False)
    assert one.history["F"] == other.history["F"]
    assert [(entry.modules, entry.F, entry.terms) for entry in one.trace] == [
        (entry.modules, entry.F, entry.terms) for entry in other.trace
    ]
    for name, belief in one.beliefs.items():
        for field in belief.per_item:
            assert torch.equal(getattr(belief, field), getattr(other.beliefs[name], field)), name
        assert torch.equal(belief.missing_rows(), other.beliefs[name].missing_rows())
    # What was learnt elsewhere is at home, and whoever asks here is answered.
    assert same(parameters(alone), parameters(spread))
    assert torch.equal(infer(alone)["seen.c"].probs, infer(spread)["seen.c"].probs)  # type: ignore[attr-defined]
    assert [event.module for event in here if isinstance(event, ModuleUpdated)] == [
        event.module for event in there if isinstance(event, ModuleUpdated)
    ]
    told = [(event.module, event.done) for event in there if isinstance(event, Progress)]
    assert {("vae", 1), ("vae", 2)} <= set(told)
    # A run that was begun there can be resumed here.
    again = two_senses(send="sample")
    resumed = fit(again, rounds=4, seed=1, schedule="up_down", run_dir=tmp_path / "run", resume=True, report=False)
    assert resumed.history["F"][:3] == one.history["F"]


@pytest.mark.slow
def test_learning_goes_on_alike_here_and_there(executor: RayExecutor) -> None:
    here, there = two_senses(), two_senses()
    fit(here, rounds=2, seed=1)
    fit(there, rounds=2, seed=1)
    # Messages and what is known of F are made anew, there as here; a schedule that looks is asked stage by stage.
    expected = fit(here, rounds=2, seed=1, schedule="residual", restarts=1)
    found = fit(there, rounds=2, seed=1, schedule="residual", executor=executor)
    assert found.history["F"] == expected.history["F"]
    assert same(parameters(there), parameters(here))


@pytest.mark.slow
def test_beginnings_are_compared_alike_here_and_there(executor: RayExecutor) -> None:
    here, there = two_senses(), two_senses()
    expected = fit(here, rounds=3, seed=1, restarts=2, restart_rounds=2)
    found = fit(there, rounds=3, seed=1, restarts=2, restart_rounds=2, executor=executor)
    assert found.beginnings == expected.beginnings
    assert found.history["F"] == expected.history["F"]
    assert same(parameters(there), parameters(here))


def test_an_error_of_a_module_arrives_as_it_was_raised(executor: RayExecutor) -> None:
    values = torch.full((6, 2), 1e200, dtype=torch.float64)
    seen, centre = Observation(values), Centre()
    graph = ModelGraph(x=seen, centre=centre)
    graph.connect(seen.value, centre.x)
    with pytest.raises(DivergedError) as here:
        fit(graph, seed=0)
    with pytest.raises(DivergedError) as there:
        fit(graph, seed=0, executor=executor)
    assert str(here.value) == str(there.value)
    assert there.value.module == "centre"


def test_what_no_cluster_can_give_is_told(executor: RayExecutor) -> None:
    with refused(WorkerError, "no room for seen within 3 seconds", "seen asks for {'cpu': 1000}", "CPU"):
        fit(two_senses(), executor=RayExecutor(resources={"seen": {"cpu": 1000}}, patience=3))
    with refused(UnknownNameError, "resources and shards of modules", "'gmm'", "vae, seen, sound, order"):
        fit(two_senses(), executor=RayExecutor(resources={"gmm": {"gpu": 1}}))
    with pytest.raises(ValueError, match="at least one shard of 'seen'; got 0"):
        RayExecutor(shards={"seen": 0})


def test_nothing_is_left_running(executor: RayExecutor) -> None:
    executor.close()
    assert not ray.is_initialized()
    end = time.monotonic() + 30
    while processes() and time.monotonic() < end:
        time.sleep(0.2)
    assert processes() == []


def processes() -> list[str]:
    """The command lines of actors that run on this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            command = (folder / "cmdline").read_text() if folder.name.isdigit() else ""
            if "ray::ModuleActor" in command:
                found.append(command)
    return found
