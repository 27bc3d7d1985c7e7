"""What MLflow's store holds of a run is what the run was; a store that fails changes nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from pgmgraph import FitResult, ModelGraph, Observation, RoundStarted, Scores, fit
from pgmgraph.errors import DataError
from pgmgraph.events import Event, FitEnded, FitStarted
from pgmgraph.learning import Watcher
from pgmgraph.messages import Categorical
from pgmgraph.trackers import MLflow
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import blobs


class At:
    """Does something when a round starts."""

    def __init__(self, round: int, action: Callable[[], None]) -> None:
        self.round, self.action = round, action

    def __call__(self, event: Event) -> None:
        if isinstance(event, RoundStarted) and event.round == self.round:
            self.action()


def model() -> tuple[ModelGraph, Scores]:
    values, labels = blobs(30)
    data, gmm = Observation(values), GMM(3, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, Scores(gmm.c, labels, prefix="gmm|c ")


def learnt(*watchers: Watcher) -> FitResult:
    graph, scores = model()
    return fit(graph, rounds=4, seed=7, callbacks=[scores, *watchers])


def same(one: FitResult, other: FitResult) -> bool:
    first, second = one.beliefs["gmm.c"], other.beliefs["gmm.c"]
    assert isinstance(first, Categorical)
    assert isinstance(second, Categorical)
    return torch.equal(first.probs, second.probs) and one.history["F"] == other.history["F"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an experiment of its own; making one takes MLflow seconds, copying it none."""
    folder = tmp_path_factory.mktemp("store")
    MLflow(f"sqlite:///{folder}/mlflow.db", experiment="none of these")(FitStarted((), 1, 0, 0))
    return folder / "mlflow.db"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> str:
    shutil.copy(made, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def metrics(store: str, run_id: str | None, name: str) -> list[tuple[int, float]]:
    assert run_id is not None
    return sorted((one.step, one.value) for one in MlflowClient(store).get_metric_history(run_id, name))


def test_a_run_in_the_store(store: str, tmp_path: Path) -> None:
    picture, folder = tmp_path / "picture.png", tmp_path / "run" / "inner"
    folder.mkdir(parents=True)
    picture.write_bytes(b"picture")
    (folder / "report.html").write_text("report")
    many = {f"p{number}": number for number in range(150)}
    parameters = {"gmm": {"components": 3, "more": {"deep": None}}, "text": "x" * 9000, **many}
    tracker = MLflow(
        store, experiment="blobs", name="first", parameters=parameters, artifacts=[picture, tmp_path / "run"]
    )
    result = learnt(tracker)

    for name, column in result.history.items():
        written = metrics(store, tracker.run_id, name.replace("|", "_"))
        assert written == [(round, value) for round, value in enumerate(column) if value is not None]
    client = MlflowClient(store)
    assert tracker.run_id is not None
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert {"seconds/gmm", "gmm/bound"} <= run.data.metrics.keys()
    expected = {"seed": "7", "rounds": "4", "modules": "gmm", "gmm.components": "3", "gmm.more.deep": "None"}
    expected |= {"text": "x" * 6000, **{name: str(number) for name, number in many.items()}}
    assert run.data.params == expected
    experiment = client.get_experiment_by_name("blobs")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "artifacts" / "blobs").as_uri()
    assert [file.path for file in client.list_artifacts(tracker.run_id)] == ["picture.png", "run"]
    assert (tmp_path / "artifacts/blobs" / tracker.run_id / "artifacts/run/inner/report.html").read_text() == "report"
    assert same(result, learnt())


def test_a_second_fit_and_another_tracker_go_on_in_the_same_run(store: str) -> None:
    graph, scores = model()
    tracker = MLflow(store)
    histories = [fit(graph, rounds=2, callbacks=[scores, tracker]).history["F"] for _ in range(2)]
    histories.append(fit(graph, rounds=2, callbacks=[scores, MLflow(store, run_id=tracker.run_id)]).history["F"])
    written = metrics(store, tracker.run_id, "F")
    assert written == list(enumerate(value for column in histories for value in column))


@pytest.mark.parametrize(("reason", "status"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_how_it_ended(store: str, reason: str, status: str) -> None:
    tracker = MLflow(store)
    tracker(FitStarted(("gmm",), 1, 0, 0))
    assert tracker.run_id is not None
    assert MlflowClient(store).get_run(tracker.run_id).info.status == "RUNNING"
    tracker(FitEnded(0, reason))
    assert MlflowClient(store).get_run(tracker.run_id).info.status == status


def test_the_active_run_is_left_alone(store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    learnt(MLflow(store), At(1, lambda: _expect_no_run()))
    assert mlflow.get_tracking_uri() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"], "nothing where the program was started"


def _expect_no_run() -> None:
    import mlflow

    assert mlflow.active_run() is None


def test_a_store_that_goes_away(store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gone = At(2, lambda: (tmp_path / "mlflow.db").unlink())
    with pytest.warns(UserWarning, match="MLflow failed and keeps silent from here on") as caught:
        result = learnt(gone, MLflow(store, seconds=0))
    assert len(caught) == 1
    assert same(result, learnt())
    assert capfd.readouterr().err == "", "the warning says it, and MLflow's log does not say it again"


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match=r"MLflow failed .* FileExistsError|NotADirectoryError"):
        result = learnt(MLflow(f"sqlite:///{tmp_path}/file/mlflow.db"))
    assert same(result, learnt())


def test_addresses_that_are_none() -> None:
    for uri in ("runs", "file:///runs"):
        with refused(DataError, "sqlite:///runs/mlflow.db", uri):
            MLflow(uri)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with refused(ModuleNotFoundError, 'pip install "pgmgraph[mlflow]"'):
        MLflow()
