"""Blueprints: what GRAPH on the command line stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgmgraph.cli.sources import Arrays, Sources, absolute
from pgmgraph.config import Plain, from_config, load_graph, override, read_config, to_config
from pgmgraph.errors import ConfigError
from pgmgraph.graph import ModelGraph
from pgmgraph.matrices import SparseMatrix
from pgmgraph.observation import Observation, Values

_YAML = (".yaml", ".yml", ".json")


class Blueprint:
    """A graph to be made, from a file of YAML or by a function of a Python file.

    Args:
        reference: the path of the file, or `file.py:function`.
        settings: single values to change, as `vae.latent_dim=16`.

    Attributes:
        reference: as given, found from any folder.
        settings: as given.
        name: what the graph is called: the file, or the function.
        folder: where files that it names are looked for.
        is_file: whether it is a file of YAML.
        learning: the section `fit` of the file.
        sources: the data that the file names, by observation.

    Raises:
        ConfigError: there is no such file, it is no configuration, or a setting names no place in it.
    """

    def __init__(self, reference: str, settings: Sequence[str] = ()) -> None:
        self.settings = list(settings)
        self.is_file = is_file(reference)
        self.learning: Mapping[str, Plain] = {}
        self.sources: Sources = {}
        self._config: dict[str, Plain] = {}
        if not self.is_file:
            place, colon, self.name = reference.rpartition(":")
            if not colon:
                raise ConfigError(
                    f"Expected a graph as a file of YAML (.yaml, .yml, .json) or as file.py:function; got {reference}."
                )
            self.reference = f"{absolute(place)}:{self.name}" if place.endswith(".py") else reference
            self.folder = Path(absolute(place)).parent if place.endswith(".py") else Path.cwd()
            return
        self.reference = absolute(reference)
        self.name, self.folder = Path(reference).stem, Path(self.reference).parent
        config = read_config(reference)
        learning = config.pop("fit", None) or {}
        if not isinstance(learning, dict):
            raise ConfigError(f"fit: Expected a mapping, such as {{rounds: 20}}; got {learning!r}.")
        self.learning = learning
        self._config = override(config, self.settings)
        self.sources = _sources(self._config, self.folder)

    def graph(self, data: Arrays, seed: int) -> ModelGraph:
        """The graph.

        Args:
            data: values by the name of the observation.
            seed: what the randomness of constructors follows from.

        Raises:
            ConfigError: it cannot be made, for all the reasons that there are.
        """
        if self.is_file:
            return from_config(self._config, data, seed=seed, folder=self.folder)
        graph = load_graph(self.reference, data, seed=seed)
        if not self.settings:
            return graph
        return remade(graph, override(to_config(graph), self.settings), data, seed, self.folder)

    def needs(self, data: Arrays) -> Arrays | None:
        """What `fit` must be given besides the graph: a function may have put other data into its observations."""
        return None if self.is_file else data


def is_file(reference: str) -> bool:
    """Whether a graph is a file of YAML, and no function."""
    return Path(reference).suffix.lower() in _YAML


def without_messages(graph: ModelGraph, data: Arrays, seed: int, folder: Path) -> ModelGraph:
    """The same graph anew, in which nothing is sent back down: the control.

    Args:
        graph: the graph.
        data: values in the place of those of its observations.
        seed: what the randomness of constructors follows from.
        folder: where files that its configuration names are looked for.

    Raises:
        ConfigError: an argument of a module cannot be told by plain values.
    """
    config = to_config(graph)
    wires = config["wires"]
    assert isinstance(wires, dict)
    backs = {wire.target for wire in graph.wires if wire.back is not None}
    for target, entry in wires.items():
        if target in backs:
            wires[target] = {**(entry if isinstance(entry, dict) else {"from": entry}), "backward": False}
    return remade(graph, config, data, seed, folder)


def remade(graph: ModelGraph, config: Mapping[str, Any], data: Arrays, seed: int, folder: Path) -> ModelGraph:
    """Another graph on the data of this one."""
    there: dict[str, Values | SparseMatrix | Observation] = {
        name: observation
        for name, observation in graph.observations.items()
        if not bool(observation.point.missing_rows().all())
    }
    return from_config(config, {**there, **data}, seed=seed, folder=folder)


def _sources(config: Mapping[str, Plain], folder: Path) -> Sources:
    """The data that a configuration names; a path in it starts from the folder that it lies in."""
    observations = config.get("observations")
    entries = observations.items() if isinstance(observations, dict) else ()
    named = {name: entry.get("data") for name, entry in entries if isinstance(entry, dict)}
    return {name: absolute(source, folder) for name, source in named.items() if isinstance(source, str)}
