"""Trackers by options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from pgmgraph import Run
from tests.cli.calls import done


def test_tensorboard_has_what_the_run_has(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--tensorboard", "board")
    board = EventAccumulator("board").Reload()
    shown = [one.value for one in board.Scalars("F")]
    assert shown == np.array(Run("runs/graph-1").history["F"], dtype=np.float32).tolist()
    assert board.Tags()["images"]


@pytest.mark.slow
def test_mlflow_has_what_the_run_has(folder: Path) -> None:
    from mlflow.tracking import MlflowClient

    done("fit", "graph.yaml", "--no-report", "--mlflow", "sqlite:///runs/mlflow.db")
    client = MlflowClient("sqlite:///runs/mlflow.db")
    [experiment] = [one for one in client.search_experiments() if one.name == "pgmgraph"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "graph-1"
    assert run.data.params["gmm.components"] == "3"
    history = client.get_metric_history(run.info.run_id, "F")
    assert [one.value for one in history] == Run("runs/graph-1").history["F"]
