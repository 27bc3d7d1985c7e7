"""A run directory, read: what was learnt, with what, how, and how it went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pgmgraph import checkpoints
from pgmgraph.checkpoints import Checkpoint
from pgmgraph.config import from_config, read_config
from pgmgraph.config.plain import as_config
from pgmgraph.engine import Data, Engine, silent
from pgmgraph.errors import CheckpointError, RunError, suggestion
from pgmgraph.graph import ModelGraph
from pgmgraph.journal import Journal, Mark, Record, read_journal
from pgmgraph.ledger import Entry

CONFIG = "run.yaml"
ENVIRONMENT = "environment.json"
HISTORY = "history.jsonl"
WARNINGS = "warnings.jsonl"
STATUS = "status.json"
CHECKPOINTS = "checkpoints"
PICTURES = "pictures"
REPORT = "report.html"
CONTROL = "control"
"""The folder, within that of a run, in which the same was learnt without backward messages."""

_SEAL = "sha256"

Columns = dict[str, list[float | None]]


class Run:
    """A run directory that `fit(..., run_dir=...)` or `pgmgraph fit` made.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        config: the resolved configuration: "graph", "fit", "data".

    Raises:
        RunError: there is no run in it, or its configuration is not what was written.
        ConfigError: its configuration cannot be read.

    Example:
        >>> run = Run("runs/mnist")  # doctest: +SKIP
        >>> graph = run.graph()  # doctest: +SKIP
        >>> beliefs = infer(graph, {"pixels": new_images})  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / CONFIG).is_file():
            raise RunError(f"Expected a run in {self.path}; there is no {CONFIG}.{_near(self.path)}", self.path)
        content = read_config(self.path / CONFIG)
        self.config: Mapping[str, Any] = {key: value for key, value in content.items() if key != _SEAL}
        if content.get(_SEAL) != _seal(self.config):
            raise RunError(
                f"Expected in {self.path / CONFIG} what was written when the run was begun; got something else, by its "
                "hash. Put back a copy of it. To learn otherwise, begin another run.",
                self.path / CONFIG,
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def _records(self) -> list[Record]:
        mark = self._mark()  # before the journal is read: that grows while somebody learns, and checkpoints follow
        return read_journal(self.path / HISTORY, mark)

    def _mark(self) -> Mark:
        """Where the history stood when the last checkpoint was written."""
        for path in reversed(self.checkpoints):
            try:
                mark: Mark = checkpoints.read_manifest(path)["progress"]["history"]
            except CheckpointError:  # whoever asks for it will hear
                continue
            return mark
        return Journal.START

    @cached_property
    def history(self) -> Columns:
        """Columns by name with one entry a round, as `FitResult.history`."""
        return columns_of(self._records)

    @cached_property
    def trace(self) -> list[Entry]:
        """A row for each stage, as `FitResult.trace`."""
        return trace_of(self._records)

    @property
    def notes(self) -> Mapping[str, Any]:
        """What `fit` was told to keep beside the configuration, such as where the data came from."""
        notes = self.config.get("notes", {})
        if not isinstance(notes, Mapping):
            raise RunError(f"Expected a mapping as notes in {self.path / CONFIG}; it was altered.", self.path / CONFIG)
        return notes

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions, machine, command and time of the start."""
        return self._json(ENVIRONMENT)

    @property
    def status(self) -> Mapping[str, Any]:
        """How it stands: "state" is running, finished, interrupted or failed; with the reason, rounds and seconds."""
        return self._json(STATUS)

    @property
    def warnings(self) -> list[str]:
        """What was warned about, in the order of time."""
        return [str(record.get("message", "")) for record in read_journal(self.path / WARNINGS)]

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints that are kept, oldest first."""
        return checkpoints.found(self.path / CHECKPOINTS)

    def checkpoint(self, name: str | None = None) -> Path:
        """The last checkpoint, or the one of this name, such as "round-000012".

        Raises:
            RunError: there is none.
        """
        there = self.checkpoints
        names = [path.name for path in there]
        if not there:
            raise RunError(f"Expected a checkpoint in {self.path}; it ended before one was written.", self.path)
        if name is None:
            return there[-1]
        if name not in names:
            raise RunError(
                f"No checkpoint {name!r} in {self.path}.{suggestion(name, names)} There are: {', '.join(names)}.",
                self.path,
            )
        return there[names.index(name)]

    def read(self, checkpoint: str | None = None) -> Checkpoint:
        """The content of a checkpoint, the last one by default, checked to be of this run's configuration.

        Raises:
            RunError: there is none.
            CheckpointError: it is truncated, altered, or of another run.
        """
        path = self.checkpoint(checkpoint)
        content = checkpoints.read(path)
        if content.progress.get("config") != fingerprint(self.config):
            raise CheckpointError(
                f"Expected a checkpoint that was learnt by {self.path / CONFIG} in {path}; it was learnt by another "
                "configuration, or run.yaml was altered since. Nothing was loaded. Put back what belongs together.",
                path,
            )
        return content

    def graph(self, data: Data | None = None, checkpoint: str | None = None) -> ModelGraph:
        """The graph as it had learnt, ready for `infer`, `generate`, or to go on learning.

        Args:
            data: values by the name of the observation; without them observations are placeholders.
            checkpoint: the name of one, such as "round-000012"; the last one by default.

        Raises:
            RunError, CheckpointError, ConfigError: it cannot be read, or made again.
        """
        graph = from_config(self.config["graph"], data, folder=self.notes.get("folder"))
        self.restore(graph, checkpoint)
        return graph

    def restore(self, graph: ModelGraph, checkpoint: str | None = None) -> None:
        """Give a graph that was made again, as it was before it learnt, all that it had learnt.

        Args:
            graph: the same modules and wires under the same names.
            checkpoint: see `graph`.

        Raises:
            RunError, CheckpointError: it cannot be read, or is of another graph.
        """
        content = self.read(checkpoint)
        engine = Engine(graph, None, seed=0, device="auto", executor=None, watcher=silent)
        engine.restore(content.snapshot)

    def _json(self, name: str) -> Mapping[str, Any]:
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"Expected JSON in {self.path / name}; got: {error}.", self.path / name) from error
        if not isinstance(content, dict):
            raise RunError(f"Expected an object of JSON in {self.path / name}; it was altered.", self.path / name)
        return content


# What a resumed run may have otherwise: how long it runs, when it stops, and where.
_FREE = frozenset({"rounds", "tol", "patience", "strict", "device"})


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """All in a run's configuration that decides what is learnt."""
    fit = {name: value for name, value in config["fit"].items() if name not in _FREE}
    return {"graph": config["graph"], "fit": fit, "data": config["data"]}


def fingerprint(config: Mapping[str, Any]) -> str:
    """A hash of all in a run's configuration that decides what is learnt."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()


def sealed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration as it is written: with a hash, by which `Run` knows that it is what was written."""
    plain = as_config(config)
    return {**plain, _SEAL: _seal(plain)}


def _seal(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config).encode()).hexdigest()


def record_of(round: int, row: Mapping[str, float | None], stages: list[Entry]) -> Record:
    """A round as a line of the history."""
    entries = [
        {
            "modules": list(entry.modules),
            "F": entry.F,
            "standard_error": entry.standard_error,
            "terms": {name: dict(terms) for name, terms in entry.terms.items()},
            "seconds": dict(entry.seconds),
        }
        for entry in stages
    ]
    return {"round": round, "row": dict(row), "stages": entries}


def columns_of(records: list[Record]) -> Columns:
    """The columns of a history, one entry a round."""
    names = dict.fromkeys(name for record in records for name in record["row"])
    return {name: [record["row"].get(name) for record in records] for name in names}


def trace_of(records: list[Record]) -> list[Entry]:
    """The stages of a history."""
    return [
        Entry(
            round=record["round"],
            modules=tuple(stage["modules"]),
            F=stage["F"],
            standard_error=stage["standard_error"],
            terms=stage["terms"],
            seconds=stage["seconds"],
        )
        for record in records
        for stage in record["stages"]
    ]


def _near(path: Path) -> str:
    """Runs that somebody may have meant."""
    try:
        runs = [one.name for one in path.parent.iterdir() if (one / CONFIG).is_file()]
    except OSError:
        return " Check the path."
    beside = f" Runs beside it: {', '.join(sorted(runs)[:10])}." if runs else " Check the path."
    return suggestion(path.name, runs) or beside
