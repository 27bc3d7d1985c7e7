"""An account says of a run directory what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pgmgraph import Entry, ModelGraph, Observation, Scores, fit
from pgmgraph.report import Account
from pgmgraph.runs import Run
from pgmgraph_modules.gmm import GMM
from tests.toys import blobs

DATA, LABELS = blobs()


def learn(folder: Path, rounds: int) -> None:
    points, gmm = Observation(DATA), GMM(3, starts=1)
    graph = ModelGraph(points=points, gmm=gmm)
    graph.connect(points.value, gmm.x)
    fit(graph, rounds=rounds, seed=5, run_dir=folder, report=False, callbacks=[Scores(gmm.c, LABELS)])


def test_a_run_directory_is_told_whole(tmp_path: Path) -> None:
    learn(tmp_path / "first", 2)
    learn(tmp_path / "second", 3)
    run = Run(tmp_path / "first")
    account = Account.of(run, [Run(tmp_path / "second")])
    assert (account.title, account.name, account.rounds) == ("first", "first", 2)
    assert account.history == run.history
    assert account.scores == ("accuracy", "nmi", "ari")
    assert list(account.others) == ["second"]
    assert len(account.others["second"]["F"]) == 3
    assert yaml.safe_load(account.configuration)["graph"]["modules"]["gmm"]["components"] == 3
    assert account.environment["seed"] == "5"
    assert "torch" in account.environment["versions"]
    assert all(isinstance(value, str) for value in account.environment.values())
    assert account.status == "all that were asked for"
    assert account.warnings == []
    assert len(account.seconds["gmm"]) == 2


def test_a_run_that_broke_off_says_so(tmp_path: Path) -> None:
    learn(tmp_path, 1)
    (tmp_path / "status.json").write_text('{"state": "failed", "reason": "DivergedError: NaN", "rounds": 1}')
    assert Account.of(Run(tmp_path)).status == "failed: DivergedError: NaN"
    (tmp_path / "status.json").write_text('{"state": "interrupted", "reason": "", "rounds": 1}')
    assert Account.of(Run(tmp_path)).status == "interrupted"


def test_seconds_are_added_up_over_the_stages_of_a_round() -> None:
    stages = [(4, {"a": 1.0}), (4, {"b": 2.0}), (4, {"a": 0.5}), (5, {"a": 4.0})]
    trace = [Entry(round, tuple(seconds), None, 0.0, {}, seconds) for round, seconds in stages]
    assert Account("t", trace=trace).seconds == {"a": [1.5, 4.0], "b": [2.0, 0.0]}


def test_an_account_may_be_empty() -> None:
    account = Account("t")
    assert (account.rounds, account.scores, account.seconds) == (0, (), {})


@pytest.mark.parametrize("column", [[], [1.0], [1.0, None, 3.0]])
def test_rounds_are_those_of_the_longest_column(column: list[float | None]) -> None:
    assert Account("t", history={"F": column}).rounds == len(column)
