"""Opened runs: what a run directory says of its graph, its data and its plan, taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgmgraph import Run
from pgmgraph.cli.blueprints import Blueprint, is_file
from pgmgraph.cli.plans import Plan
from pgmgraph.cli.sources import Arrays, Sources, absolute, assigned, values_of
from pgmgraph.config import from_config
from pgmgraph.errors import ConfigError, RunError
from pgmgraph.graph import ModelGraph
from pgmgraph.runs import CONFIG


def given_data(texts: list[str] | None) -> Sources:
    """The sources that `--data` names."""
    return _given(texts, "--data", "NAME=FILE, such as pixels=digits.npy")


def given_labels(texts: list[str] | None) -> Sources:
    """The sources that `--labels` names."""
    return _given(texts, "--labels", "VARIABLE=FILE, such as gmm.c=labels.npy")


def _given(texts: list[str] | None, option: str, example: str) -> Sources:
    return {name: absolute(source) for name, source in assigned(texts or (), option, example).items()}


def sources_of(run: Run, kind: str) -> Sources:
    """Where the "data" or the "labels" of a run were read from; nothing where they did not come from files.

    Raises:
        RunError: it was altered.
    """
    found = _noted(run, kind)
    return {str(name): str(source) for name, source in found.items()}


def plan_of(run: Run, options: Mapping[str, object]) -> Plan:
    """How a run learns, with some of it changed; None in an option is not given.

    Raises:
        ConfigError: what stands in the run directory, or in an option, is no plan.
        RunError: the run learnt from a stream, or was altered.
    """
    begun = run.config["fit"]
    if not isinstance(begun, Mapping):
        raise RunError(f"Expected a mapping as fit in {run.path / CONFIG}; it was altered.", run.path)
    if "forgetting" in begun:
        raise RunError(
            f"Expected a run of fit; the one in {run.path} learnt from a stream, and its source is no file to read "
            f"again. Go on with it in Python: fit_stream(graph, source, run_dir={str(run.path)!r}, resume=True).",
            run.path,
        )
    return Plan.of({**begun, **_noted(run, "plan")}, options)


def again(run: Run, values: Arrays, seed: int) -> tuple[ModelGraph, Arrays | None]:
    """The graph of a run as it was before it learnt, and what `fit` must be given besides it.

    Raises:
        ConfigError: it cannot be made again.
    """
    blueprint = _function(run)
    if blueprint:
        return blueprint.graph(values, seed), blueprint.needs(values)
    return from_config(run.config["graph"], values, seed=seed, folder=folder_of(run)), None


def learnt(run: Run, values: Arrays, checkpoint: str | None = None) -> ModelGraph:
    """The graph of a run as it had learnt.

    Raises:
        ConfigError: it cannot be made again.
        RunError, CheckpointError: its checkpoint cannot be read.
    """
    try:
        return run.graph(values, checkpoint)
    except ConfigError:
        blueprint = _function(run)
        if not blueprint:
            raise
        # It holds an object that a configuration cannot tell, and a function can make, of data if it wants them.
        graph = blueprint.graph(values or values_of(sources_of(run, "data")), plan_of(run, {}).seed)
        run.restore(graph, checkpoint)
        return graph


def folder_of(run: Run) -> Path:
    """Where files that the configuration names are looked for."""
    return Path(str(run.notes.get("folder", ".")))


def _function(run: Run) -> Blueprint | None:
    """The function that made the graph of a run, if one did."""
    reference = run.notes.get("graph")
    settings = run.notes.get("set") or []
    if not isinstance(reference, str) or not isinstance(settings, list):
        return None
    if is_file(reference):
        return None
    return Blueprint(reference, [str(one) for one in settings])


def _noted(run: Run, name: str) -> Mapping[str, Any]:
    found = run.notes.get(name) or {}
    if not isinstance(found, Mapping):
        raise RunError(f"Expected a mapping as notes.{name} in {run.path / CONFIG}; it was altered.", run.path)
    return found
