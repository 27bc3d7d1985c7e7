"""What is shown while a graph learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgmgraph import events
from pgmgraph.cli.answers import Answer
from pgmgraph.cli.watching import watcher

STARTED = events.FitStarted(("gmm",), rounds=2, first_round=0, seed=0)
ENDED = events.RoundEnded(0, -12.5, 1.0, {"accuracy": 0.5})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text("graph: {}\n", encoding="utf-8")
    return tmp_path


def test_people_see_the_configuration_and_rounds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = watcher(Answer(machine=False), run, ("accuracy",))
    watch(STARTED)
    watch(ENDED)
    assert capsys.readouterr().out == f"graph: {{}}\n\n{run.name}: round 1/2  F -12  accuracy 0.500  1 s\n"


def test_a_control_is_shown_by_the_name_of_its_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = watcher(Answer(machine=False), run, (), beside="mnist-1")
    watch(STARTED)
    watch(ENDED)
    assert capsys.readouterr().out == f"mnist-1/{run.name}: round 1/2  F -12  1 s\n"


def test_programs_see_every_event(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = watcher(Answer(machine=True), run, ())
    watch(STARTED)
    watch(ENDED)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["event"], first["modules"], first["run"]) == ("FitStarted", ["gmm"], run.name)
    assert (second["event"], second["F"], second["scores"]) == ("RoundEnded", -12.5, {"accuracy": 0.5})


def test_an_interrupt_is_told_past_python_s_streams(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    watcher(Answer(machine=True), run, ())(events.InterruptNoted())
    out, error = capfd.readouterr()
    assert out == ""
    assert "the module in hand is finished first" in error
