"""Trackers: callbacks that write what happens during `fit` for TensorBoard or MLflow."""

from pgmgraph.trackers.base import Row, Tracker
from pgmgraph.trackers.mlflow import MLflow
from pgmgraph.trackers.tensorboard import TensorBoard

__all__ = ["MLflow", "Row", "TensorBoard", "Tracker"]
