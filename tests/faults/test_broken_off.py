"""A run that is broken off just there where it could do harm: as it begins, and as it is taken up again."""

from contextlib import contextmanager
from functools import partial

import pytest
import torch

import pgmgraph
from pgmgraph import Checkpoints, Run, recording
from pgmgraph.errors import RunError, ScheduleError
from pgmgraph.journal import Journal
from tests.refusals import refused
from tests.test_atomic import names_in
from tests.test_fit import mixture, same, vae_mixture
from tests.test_recording import outcome

torch.set_num_threads(1)

fit = partial(pgmgraph.fit, report=False)


class Death(BaseException):
    """What stops everything."""


@contextmanager
def death(owner, name):
    """Everything stops where this function is called."""

    def die(*arguments, **options):
        raise Death

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Death):  # noqa: PT012  # the block of whoever uses it
        patch.setattr(owner, name, die)
        yield


def test_as_it_writes_its_configuration(tmp_path, monkeypatch):
    expected = (graph := mixture(), fit(graph, rounds=2))
    with monkeypatch.context() as patch, death(recording, "config_text"):
        patch.setattr(recording.Recording, "_leave", lambda *_: None)  # whoever is dead clears nothing away
        fit(mixture(), rounds=2, run_dir=tmp_path)
    assert "environment.json" in names_in(tmp_path)
    with refused(RunError, "run to resume", "none"):
        fit(mixture(), rounds=2, run_dir=tmp_path, resume=True)
    graph = mixture()
    assert same(outcome(graph, fit(graph, rounds=2, run_dir=tmp_path)), outcome(*expected))


def test_what_fails_as_it_begins_leaves_nothing(tmp_path):
    folder = tmp_path / "run"
    for owner, name in ((recording, "config_text"), (recording, "resolved")):
        with death(owner, name):
            fit(mixture(), rounds=2, run_dir=folder)
        assert names_in(tmp_path) == []


def test_a_warning_before_a_failure_is_no_run(tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def warn(*arguments):
        recording.warnings.warn("something is odd", stacklevel=1)
        raise ScheduleError("and this is wrong")

    monkeypatch.setattr(recording, "resolved", warn)
    with refused(ScheduleError, "wrong"), pytest.warns(UserWarning, match="odd"):
        fit(mixture(), rounds=1, run_dir=folder)
    assert names_in(tmp_path) == []


def test_as_it_goes_back_to_an_older_checkpoint(tmp_path):
    graph = vae_mixture()
    policy = Checkpoints(keep=5)
    expected = outcome(graph, fit(graph, rounds=5, run_dir=tmp_path, checkpoints=policy))
    for owner, name in ((Journal, "cut"), (recording, "remove_folder")):
        with death(owner, name):
            fit(vae_mixture(), rounds=5, run_dir=tmp_path, checkpoints=policy, resume="round-000002")
        graph = vae_mixture()
        assert same(outcome(graph, fit(graph, rounds=5, run_dir=tmp_path, resume=True, checkpoints=policy)), expected)
        assert len(Run(tmp_path).history["F"]) == 5


def test_an_altered_history_costs_no_checkpoint(tmp_path):
    fit(vae_mixture(), rounds=4, run_dir=tmp_path, checkpoints=Checkpoints(keep=4))
    kept = names_in(tmp_path / "checkpoints")
    history = tmp_path / "history.jsonl"
    history.write_bytes(b" " + history.read_bytes())
    with refused(RunError, str(history), "altered"):
        fit(vae_mixture(), rounds=4, run_dir=tmp_path, resume="round-000002")
    assert names_in(tmp_path / "checkpoints") == kept


def test_before_what_had_been_learnt_is_on_disk(tmp_path):
    learnt = vae_mixture()
    fit(learnt, rounds=2)
    with death(recording.checkpoints, "write"):
        fit(learnt, rounds=3, run_dir=tmp_path)
    with refused(RunError, str(tmp_path), "before that run", "Begin another"):
        fit(vae_mixture(), rounds=3, run_dir=tmp_path, resume=True)
