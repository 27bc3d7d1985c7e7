"""Trackers, made from the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pgmgraph.config import to_config
from pgmgraph.errors import ConfigError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Categorical, Gaussian, MessageType
from pgmgraph.runs import CONFIG, HISTORY

if TYPE_CHECKING:
    from pgmgraph.trackers import MLflow, TensorBoard, Tracker


def trackers(
    graph: ModelGraph,
    path: Path,
    labels: Mapping[str, NDArray[np.int64]],
    tensorboard: Path | None,
    mlflow: str | None,
) -> list[Tracker]:
    """The trackers that were asked for.

    Args:
        graph: what learns.
        path: of its run directory.
        labels: of its variables.
        tensorboard: a folder.
        mlflow: the address of a store.

    Raises:
        ConfigError: a package that one needs is not installed.
        DataError: an address of no store.
    """
    try:
        made: list[Tracker] = []
        if tensorboard is not None:
            made.append(_tensorboard(graph, tensorboard, labels))
        if mlflow is not None:
            made.append(_mlflow(graph, path, mlflow))
        return made
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error


def _tensorboard(graph: ModelGraph, folder: Path, labels: Mapping[str, NDArray[np.int64]]) -> TensorBoard:
    from pgmgraph.report.galleries import image_shape
    from pgmgraph.trackers import TensorBoard

    embedding = _first(graph, Gaussian)
    flat = [one.point.event_shape for one in graph.observations.values() if len(one.point.event_shape) == 1]
    square = next((shape for event in flat if (shape := image_shape(event))), None)
    return TensorBoard(
        folder,
        embedding=embedding,
        labels=next(iter(labels.values()), None) if embedding else None,
        images=_first(graph, Categorical),
        image_shape=(square[0], square[1]) if square else None,
    )


def _mlflow(graph: ModelGraph, path: Path, uri: str) -> MLflow:
    from pgmgraph.trackers import MLflow

    parameters = to_config(graph)["modules"]
    assert isinstance(parameters, dict)
    return MLflow(uri, name=path.name, parameters=parameters, artifacts=[path / CONFIG, path / HISTORY])


def _first(graph: ModelGraph, belief: MessageType) -> str | None:
    """The first latent variable of a kind."""
    return next(
        (
            name
            for name, port in graph.variables.items()
            if name not in graph.observations and port.declaration.belief is belief
        ),
        None,
    )
