"""Sources: which files the data and the labels of a run are read from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pgmgraph.datasets import read_labels, read_values
from pgmgraph.errors import ConfigError
from pgmgraph.graph import ModelGraph

Sources = dict[str, str]
"""Paths, each with the part after `#`, by the name of an observation or of a variable."""

Arrays = Mapping[str, NDArray[np.generic] | sparse.csr_array]
"""What lies there, by the name of an observation."""


def assigned(texts: Iterable[str], option: str, example: str) -> dict[str, str]:
    """What `NAME=VALUE`, given any number of times, says.

    Raises:
        ConfigError: one is malformed, or a name is there twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ConfigError(f"Expected {option} {example}; got {option} {text}.")
        if name.strip() in found:
            raise ConfigError(f"Expected {option} once for {name.strip()}; got {found[name.strip()]} and {value}.")
        found[name.strip()] = value.strip()
    return found


def absolute(source: str, folder: Path | None = None) -> str:
    """A source that is found from any folder; one that is relative lies in `folder`, or in the current one."""
    return os.path.abspath((folder or Path()) / source)  # noqa: PTH100  # keeps links, and names that do not exist


def values_of(sources: Mapping[str, str]) -> Arrays:
    """The values of each observation.

    Raises:
        DataFileError: a file cannot be read.
    """
    return {name: read_values(source) for name, source in sources.items()}


def labels_of(sources: Mapping[str, str]) -> dict[str, NDArray[np.int64]]:
    """The labels to compare each variable with.

    Raises:
        DataFileError: a file cannot be read.
    """
    return {name: read_labels(source) for name, source in sources.items()}


def require_data(graph: ModelGraph, given: Mapping[str, object]) -> None:
    """Refuse a graph in which an observation has no values yet.

    Raises:
        ConfigError: naming them, and the option that gives them.
    """
    lacking = [
        name
        for name, observation in graph.observations.items()
        if name not in given and bool(observation.point.missing_rows().all())
    ]
    if lacking:
        options = " ".join(f"--data {name}=FILE" for name in lacking)
        raise ConfigError(f"Expected data for {', '.join(lacking)}; got none. Give them: {options}.")
