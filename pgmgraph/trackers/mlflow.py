"""MLflow: a run with its parameters, a metric for each number by round, and files."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgmgraph import events
from pgmgraph.errors import DataError
from pgmgraph.trackers.base import Row, Tracker

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

Parameters = Mapping[str, object]

# What the server takes at a time.
METRICS_A_BATCH, PARAMETERS_A_BATCH, LONGEST_PARAMETER = 1000, 100, 6000
# MLflow would report to its makers over the network, and wait four minutes for a server that is away.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
ENDS = {"rounds": "FINISHED", "converged": "FINISHED", "failed": "FAILED"}


class MLflow(Tracker):
    """Writes a run into an MLflow store. See `Tracker` for the numbers.

    MLflow's own state, its active run and its default store, is neither read nor changed. A second `fit` with the same
    tracker goes on in the same run. MLflow is told by environment variables, where they are not set, to send no
    telemetry (`MLFLOW_DISABLE_TELEMETRY`), and to try a server that is away for a few seconds, not for minutes
    (`MLFLOW_HTTP_REQUEST_MAX_RETRIES`, `MLFLOW_HTTP_REQUEST_TIMEOUT`).

    Args:
        uri: the store: `sqlite:///runs/mlflow.db`, or a server's address. The files of an sqlite store lie in a folder
            `artifacts` beside the database.
        experiment: the name of the experiment; made if missing.
        name: of the run; by default MLflow makes one up.
        parameters: what the run was made with; those of a mapping within it are named with a dot, `vae.latent_dim`.
        artifacts: files and folders that are copied into the store when learning has ended.
        run_id: a run of this store to go on with, in the place of a new one.
        seconds: rows are collected for so long, and written together.

    Attributes:
        run_id: MLflow's name of the run; None before learning starts.

    Raises:
        ModuleNotFoundError: mlflow is not installed.
        DataError: a file store, which MLflow no longer has.

    Example:
        >>> tracker = MLflow("sqlite:///runs/mlflow.db", experiment="digits")
    """

    def __init__(
        self,
        uri: str = "sqlite:///mlflow.db",
        *,
        experiment: str = "pgmgraph",
        name: str | None = None,
        parameters: Parameters | None = None,
        artifacts: Sequence[str | Path] = (),
        run_id: str | None = None,
        seconds: float = 5.0,
    ) -> None:
        super().__init__()
        for variable, value in SETTINGS.items():
            os.environ.setdefault(variable, value)
        try:
            import mlflow  # noqa: F401  # early, not after the first round
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'MLflow needs a package that is not installed: pip install "pgmgraph[mlflow]".', name="mlflow"
            ) from error
        if "://" not in uri or uri.startswith("file:"):
            raise DataError(f"Expected the address of a store, such as 'sqlite:///runs/mlflow.db'; got {uri!r}.")
        self.uri = uri
        self.experiment = experiment
        self.name = name
        self.parameters = dict(parameters or {})
        self.artifacts = [Path(path) for path in artifacts]
        self.run_id = run_id
        self.seconds = seconds
        self._client: MlflowClient | None = None
        self._waiting: list[Metric] = []
        self._written = 0.0

    def start(self, event: events.FitStarted) -> None:
        """See `Tracker.start`."""
        self._written = time.monotonic()
        with _quiet():
            client = self._client = self._client or self._connected()
            if self.run_id is None:
                self._create_run(client, event)
            else:
                client.update_run(self.run_id, status="RUNNING")

    def write(self, round: int, row: Row) -> None:
        """See `Tracker.write`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(_allowed(name), value, now, round) for name, value in row.items()]
        if time.monotonic() - self._written >= self.seconds:
            with _quiet():
                self._flush()

    def end(self, event: events.FitEnded) -> None:
        """See `Tracker.end`."""
        if self._client is None or self.run_id is None:
            return
        with _quiet():
            self._flush()
            for path in self.artifacts:
                if path.is_dir():
                    self._client.log_artifacts(self.run_id, str(path), path.name)
                else:
                    self._client.log_artifact(self.run_id, str(path))
            self._client.set_terminated(self.run_id, ENDS.get(event.reason, "KILLED"))

    def _connected(self) -> MlflowClient:
        database = self._database()
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
            # Where this fails it fails at once; MLflow would try for two minutes.
            database.open("ab").close()
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def _create_run(self, client: MlflowClient, event: events.FitStarted) -> None:
        from mlflow.entities import Param

        known = client.get_experiment_by_name(self.experiment)
        if known is not None:
            experiment = known.experiment_id
        else:
            database = self._database()
            # MLflow would put them wherever the program was started.
            place = None if database is None else (database.parent / "artifacts" / self.experiment).resolve().as_uri()
            experiment = client.create_experiment(self.experiment, artifact_location=place)
        self.run_id = client.create_run(experiment, run_name=self.name).info.run_id
        made_with = {"seed": event.seed, "rounds": event.rounds, "modules": ", ".join(event.modules)}
        flat = dict(_flat({**made_with, **self.parameters}))
        parameters = [Param(_allowed(key), value[:LONGEST_PARAMETER]) for key, value in flat.items()]
        for first in range(0, len(parameters), PARAMETERS_A_BATCH):
            client.log_batch(self.run_id, params=parameters[first : first + PARAMETERS_A_BATCH])

    def _flush(self) -> None:
        assert self._client is not None
        assert self.run_id is not None
        for first in range(0, len(self._waiting), METRICS_A_BATCH):
            self._client.log_batch(self.run_id, metrics=self._waiting[first : first + METRICS_A_BATCH])
        self._waiting = []
        self._written = time.monotonic()

    def _database(self) -> Path | None:
        """The file of an sqlite store; None for other stores."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MLflow and its libraries say of one another, and log of errors that are warned of here."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _flat(parameters: Parameters, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _allowed(name: str) -> str:
    """The name with the characters that MLflow allows: no brackets, no bars."""
    return re.sub(r"[^\w\-. /:]", "_", name)
