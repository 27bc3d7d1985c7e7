"""How a graph is to learn: the file, options, and what `fit` is told in the end."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pgmgraph import Checkpoints, fit
from pgmgraph.cli.plans import Plan, schedule_of, written_schedule
from pgmgraph.errors import ConfigError, ScheduleError
from tests.refusals import refused

HERE = Path()


def test_options_win_over_the_file_and_both_over_defaults() -> None:
    plan = Plan.of({"rounds": 5, "seed": 7, "tol": "1e-3"}, {"rounds": 9, "seed": None})
    assert (plan.rounds, plan.seed, plan.tol, plan.patience) == (9, 7, 1e-3, 3)


def test_defaults_are_those_of_fit() -> None:
    arguments = Plan(rounds=1).arguments(HERE)
    defaults = {name: one.default for name, one in inspect.signature(fit).parameters.items()}
    assert arguments.keys() <= defaults.keys()
    different = [name for name, value in arguments.items() if value != defaults[name]]
    assert different == ["frozen"]
    assert (arguments["frozen"], defaults["frozen"]) == ([], ())


def test_all_that_is_wrong_is_told_at_once() -> None:
    with refused(ConfigError, "3 problems", "fit.round: No such key. Did you mean 'rounds'?", "--seed", "fit.strict"):
        Plan.of({"round": 5, "strict": "yes"}, {"seed": 1.5})


def test_rounds_must_be_given() -> None:
    with refused(ConfigError, "--rounds 20", "fit: {rounds: 20}"):
        Plan.of({}, {}).arguments(HERE)


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, Checkpoints(1, None, 2)),
        ({"checkpoint_rounds": 5, "keep": 3}, Checkpoints(5, None, 3)),
        ({"checkpoint_minutes": 10}, Checkpoints(None, 10.0, 2)),
        ({"checkpoint_minutes": 10, "checkpoint_rounds": 4}, Checkpoints(4, 10.0, 2)),
    ],
)
def test_when_checkpoints_are_written(given: dict[str, object], policy: Checkpoints) -> None:
    assert Plan.of({"rounds": 1}, given).arguments(HERE)["checkpoints"] == policy


def test_checkpoints_that_nobody_keeps_are_refused() -> None:
    with refused(ScheduleError, "keep=0"):
        Plan.of({"rounds": 1, "keep": 0}, {}).arguments(HERE)


def test_a_schedule_is_a_name_stages_or_a_function(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def by_turns(view, round):\n    yield 'vae'\n", encoding="utf-8")
    assert written_schedule("[vae, [gmm, hmm]]") == ["vae", ["gmm", "hmm"]]
    assert schedule_of("up_down", HERE) == "up_down"
    assert schedule_of(["vae", ["gmm", "hmm"]], HERE) == ["vae", ("gmm", "hmm")]
    function = schedule_of("own.py:by_turns", tmp_path)
    assert callable(function)
    assert function.__name__ == "by_turns"
    assert schedule_of({"import": "pgmgraph.schedules:up_down"}, HERE).__name__ == "up_down"  # type: ignore[union-attr]


def test_a_schedule_that_cannot_be_found_is_refused(tmp_path: Path) -> None:
    with refused(ConfigError, "nowhere.py"):
        schedule_of("nowhere.py:f", tmp_path)
    with refused(ConfigError, "pgmgraph.runs:CONFIG", "(view, round)"):
        schedule_of("pgmgraph.runs:CONFIG", HERE)
    with refused(ConfigError, "made in Python", "fit(..., resume=True)"):
        schedule_of({"object": "<lambda>"}, HERE)
    with refused(ConfigError, "--schedule", "line 1"):
        written_schedule("[vae, gmm")


def test_a_function_is_noted_by_the_name_that_finds_it_again() -> None:
    assert Plan(schedule="own.py:f").notes["schedule"] == "own.py:f"
    assert "schedule" not in Plan(schedule="up_down").notes
