"""Schedules: what they may name, and what mail the modules of a stage see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pgmgraph import ModelGraph, Stage, View, fit
from pgmgraph.errors import ScheduleError
from pgmgraph.events import ModuleUpdated
from pgmgraph.schedules import residual
from tests.refusals import refused
from tests.toys import Centre, Noisy, Relay, observed


def chain() -> ModelGraph:
    data, noisy, middle, centre = observed(), Noisy(), Noisy(), Centre()
    graph = ModelGraph(centre=centre, data=data, noisy=noisy, middle=middle)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, middle.y, via="mean")
    graph.connect(middle.z, centre.x)
    return graph


def order(schedule: object, rounds: int = 1, **options: object) -> list[str]:
    updated: list[str] = []

    def watch(event: object) -> None:
        if isinstance(event, ModuleUpdated):
            updated.append(event.module)

    fit(chain(), rounds=rounds, schedule=schedule, callbacks=[watch], **options)  # type: ignore[arg-type]
    return updated


def test_named_schedules() -> None:
    assert order("bottom_up", 2) == 2 * ["noisy", "middle", "centre"]
    assert order("up_down") == ["noisy", "middle", "centre", "middle", "noisy"]


def test_residual_begins_from_the_bottom_and_updates_everyone_once_a_round() -> None:
    updated = order("residual", 3)
    assert updated[:3] == ["noisy", "middle", "centre"]
    assert [sorted(updated[begin : begin + 3]) for begin in (3, 6)] == 2 * [["centre", "middle", "noisy"]]


def test_residual_goes_first_to_where_the_mail_changed_most() -> None:
    seen: list[tuple[dict[str, float], str]] = []

    def watched(view: View, round: int) -> Iterator[Stage]:
        for stage in residual(view, round):
            assert isinstance(stage, str)
            seen.append((dict(view.residuals()), stage))
            yield stage

    fit(chain(), rounds=80, schedule=watched)
    for number, (residuals, chosen) in enumerate(seen):
        waiting = {name for _, name in seen[number : number - number % 3 + 3]}
        assert residuals[chosen] == max(residuals[name] for name in waiting & residuals.keys())
    # In the first round nobody but the lowest has mail; an update empties a module's residual.
    assert seen[0] == ({"noisy": 1.0}, "noisy")
    assert seen[1][0]["noisy"] == 0.0
    # The graph comes to rest: its exact modules have less and less to tell one another.
    assert max(seen[-1][0].values()) < 0.01 * max(seen[11][0].values())


def test_residual_comes_to_the_same_place_as_bottom_up() -> None:
    bounds = [fit(chain(), rounds=60, schedule=name).history["F"][-1] for name in ("residual", "bottom_up")]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-9)


def test_residual_needs_no_order() -> None:
    first, second = Relay(), Relay()
    graph = ModelGraph(first=first, second=second)
    graph.connect(first.z, second.x)
    graph.connect(second.z, first.x)
    with refused(ScheduleError, "first, second wait for one another's first message", "schedule=["):
        fit(graph, rounds=1, schedule="residual")


def test_lists_and_functions() -> None:
    assert order(["noisy", "middle", "centre", "centre"]) == ["noisy", "middle", "centre", "centre"]
    assert order(lambda view, round: view.bottom_up, 2) == 2 * ["noisy", "middle", "centre"]

    def alternating(view: View, round: int) -> Iterator[str | tuple[str, ...]]:
        yield "noisy"
        yield "middle"
        if round % 2 == 0:
            yield ("centre", "noisy")

    assert order(alternating, 2) == ["noisy", "middle", "centre", "noisy", "noisy", "middle"]


def test_generators_may_look_at_f_and_at_the_round() -> None:
    seen: list[tuple[int, int]] = []

    def watching(view: View, round: int) -> Iterator[str]:
        seen.append((round, len(view.F)))
        assert view.modules == ("centre", "noisy", "middle")
        assert len(view.wires) == 3
        yield from view.bottom_up

    order(watching, 3)
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_a_stage_sees_the_mail_from_before_it() -> None:
    def means(schedule: list[str | tuple[str, ...]]) -> torch.Tensor:
        data, noisy, centre = observed(), Noisy(learn_shift=False), Centre()
        graph = ModelGraph(data=data, noisy=noisy, centre=centre)
        graph.connect(data.value, noisy.y)
        graph.connect(noisy.z, centre.x)
        fit(graph, schedule=["noisy", "centre"])
        fit(graph, schedule=schedule)
        return centre.mean

    apart, together = means(["noisy", "centre"]), means([("noisy", "centre")])
    # Together, the centre is computed from the belief that the first fit left: it does not move at all.
    assert torch.equal(together, means(["centre", "noisy"]))
    assert not torch.allclose(apart, together)


def test_what_a_schedule_may_not_name() -> None:
    with refused(
        ScheduleError, "names 'nosiy', which is no module", "Did you mean 'noisy'?", "centre, noisy, middle"
    ) as caught:
        order(["nosiy", "middle", "centre"])
    assert caught.value.modules == ("nosiy",)
    with refused(ScheduleError, "the observation 'data'", "never updated", "centre, noisy, middle"):
        order(["data", "noisy", "middle", "centre"])
    with refused(ScheduleError, "forgets centre, middle", "frozen=['centre']") as forgotten:
        order(["noisy"])
    assert forgotten.value.modules == ("centre", "middle")
    with refused(ScheduleError, "a stage of different modules", "('noisy', 'noisy')"):
        order([("noisy", "noisy"), "middle", "centre"])
    with refused(ScheduleError, "No schedule named 'bottomup'", "Did you mean 'bottom_up'?", "bottom_up, up_down"):
        order("bottomup")
    with refused(ScheduleError, "forgets centre, noisy, middle"):
        order([])


def test_functions_are_checked_as_they_run() -> None:
    with refused(ScheduleError, "'data'", "never updated"):
        order(lambda view, round: ["data"])
    with refused(ScheduleError, "names no module in round 0", "at least one stage"):
        order(lambda view, round: [])
    with pytest.warns(UserWarning, match="The schedule never updated centre"):
        order(lambda view, round: ["noisy", "middle"])


def test_a_parent_before_its_child() -> None:
    with refused(
        ScheduleError, "centre would be updated without a message at centre.x", "Put 'middle' before 'centre'"
    ):
        order(["centre", "noisy", "middle"])


def test_a_bad_schedule_is_refused_before_anything_is_computed() -> None:
    graph = chain()
    with pytest.raises(ScheduleError):
        fit(graph, schedule=["nosiy"])
    assert not any(hasattr(module, "context") for module in graph.modules.values())
    with refused(ScheduleError, "rounds of at least 1", "got 0"):
        fit(graph, rounds=0)


def test_frozen_modules_may_be_left_out() -> None:
    assert order(["noisy", "middle"], frozen=["centre"]) == ["noisy", "middle"]
