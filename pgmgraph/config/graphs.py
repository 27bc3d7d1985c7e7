"""A graph as a configuration, and a configuration as a graph."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import torch

from pgmgraph.config.arguments import required, signature_of
from pgmgraph.config.building import Builder
from pgmgraph.config.plain import Plain, as_config
from pgmgraph.config.problems import Problems, foreign, shown
from pgmgraph.config.targets import registered_name, resolve, searched, target_of
from pgmgraph.config.text import read_config
from pgmgraph.config.writing import OBJECT, written_arguments
from pgmgraph.errors import ConfigError, suggestion
from pgmgraph.graph import ModelGraph
from pgmgraph.matrices import SparseMatrix
from pgmgraph.module import Module
from pgmgraph.observation import Observation, Values
from pgmgraph.randomness import seed_of, seeded
from pgmgraph.wires import Wire

Data: TypeAlias = Mapping[str, Values | SparseMatrix | Observation]

_YAML = (".yaml", ".yml", ".json")


def to_config(graph: ModelGraph, *, complete: bool = False) -> dict[str, Plain]:
    """A graph as plain values: its observations without their data, its modules with their arguments, its wires.

    What was learnt is not in it. An argument that cannot be told by plain values (a network that was made in Python)
    is written as `{"object": ...}`, which `from_config` refuses; one that came from a configuration is written as it
    stood there.

    Args:
        graph: the graph.
        complete: whether arguments that were left at their defaults are written too.
    """
    return {
        "observations": {name: _observation(one) for name, one in graph.observations.items()},
        "modules": {name: _module(one, complete) for name, one in graph.modules.items()},
        "wires": {wire.target: _wire(graph, wire) for wire in graph.wires},
    }


def from_config(
    config: object, data: Data | None = None, *, seed: int = 0, folder: str | Path | None = None
) -> ModelGraph:
    """A graph from plain values.

    Only what a configuration names under `module`, `call`, `partial` and `import` is imported, and run.

    Args:
        config: plain values, as `to_config` or `read_config` gives them.
        data: values by the name of the observation. One without them stands in the graph as a placeholder, of which
            every row is missing: such a graph can be checked, drawn, given parameters, and asked about new data.
        seed: what the randomness of constructors follows from, as that of a network's initial weights; for each module
            by its name, so that none depends on the others.
        folder: where Python files and modules that are not installed are looked for, besides the current folder.

    Raises:
        ConfigError: everything that is wrong with the configuration, at once; `problems` has it one by one.
    """
    plain = as_config(config)
    problems = Problems()
    folders = [] if folder is None else [Path(folder)]
    with searched(folders):
        graph = Builder(problems, folders, data or {}, seed).graph(plain)
    problems.refuse()
    return graph


def load_graph(reference: str | Path, data: Data | None = None, *, seed: int = 0) -> ModelGraph:
    """A graph from a YAML file, or from a function of a Python file.

    Args:
        reference: the path of a file that ends in .yaml, .yml or .json, of which a section `fit` is left to the command
            line; or `file.py:function`, or `package.module:function`.
        data: values by the name of the observation. A function is given those that it has arguments for; give all of
            them to `fit` too, which puts them into the place of what the function made up.
        seed: what the randomness of constructors, or of the function, follows from.

    Raises:
        ConfigError: there is no such file or function, it makes no graph, or it needs data that are not given.
    """
    path = Path(reference)
    if path.suffix.lower() in _YAML:
        config = read_config(path)
        config.pop("fit", None)  # how the command line is to learn it
        return from_config(config, data, seed=seed, folder=path.parent)
    place, colon, name = str(reference).rpartition(":")
    if not colon:
        raise ConfigError(
            f"Expected a graph as a file of YAML (.yaml, .yml, .json) or as file.py:function; got {shown(reference)}."
        )
    folders = [Path(place).parent] if place.endswith(".py") else []
    with searched(folders):
        function = resolve(f"{place}:{name}")
        with seeded(seed_of(seed, name, "graph", 0), torch.device("cpu")):
            return _from_function(function, str(reference), data or {})


def _from_function(function: object, reference: str, data: Data) -> ModelGraph:
    if isinstance(function, ModelGraph):
        return function
    if not callable(function):
        raise ConfigError(f"Expected a function that returns a ModelGraph as {reference}; got {shown(function)}.")
    known = (signature_of(function) or inspect.Signature()).parameters
    lacking = [name for name, parameter in known.items() if required(parameter) and name not in data]
    if lacking:
        raise ConfigError(
            f"{reference} needs data for {', '.join(lacking)}: its arguments are observations by name. "
            f"Given were: {', '.join(data) or 'none'}."
        )
    with foreign(reference):
        graph = function(**{name: values for name, values in data.items() if name in known})
    if not isinstance(graph, ModelGraph):
        raise ConfigError(f"Expected {reference} to return a ModelGraph; it returned {shown(graph)}.")
    for name in data:
        if name not in graph.observations:
            raise ConfigError(
                f"{reference} makes no observation named {name!r}.{suggestion(name, graph.observations)} "
                f"It makes: {', '.join(graph.observations) or 'none'}."
            )
    return graph


def _observation(observation: Observation) -> dict[str, Plain]:
    point = observation.point
    found: dict[str, Plain] = {
        "event_shape": list(point.event_shape),
        "dtype": str(point.dtype).removeprefix("torch."),
    }
    if point.scale != 1.0:
        found["scale"] = float(point.scale)
    if observation.plate != "items":
        found["plate"] = observation.plate
    if observation.source is not None:
        found["data"] = observation.source
    return found


def _module(module: Module, complete: bool) -> dict[str, Plain]:
    stated = _stated(module) if module.recipe is None else copy.deepcopy(as_config(module.recipe))
    if not complete:
        return stated
    known = (signature_of(type(module)) or inspect.Signature()).parameters
    defaults = {name: one.default for name, one in known.items() if one.default is not inspect.Parameter.empty}
    told = {name: value for name, value in written_arguments(type(module), defaults).items() if not _is_object(value)}
    whole = {**told, **stated}
    return {"module": stated["module"], **{name: whole[name] for name in known if name in whole}, **stated}


def _is_object(value: Plain) -> bool:
    return isinstance(value, Mapping) and OBJECT in value


def _stated(module: Module) -> dict[str, Plain]:
    """The arguments that the module was made with."""
    kind = type(module)
    # A class that nothing can import, such as one inside a function, has a name that `from_config` refuses.
    name = registered_name(kind) or target_of(kind) or f"{kind.__module__}:{kind.__qualname__}"
    known = (signature_of(kind) or inspect.Signature()).parameters
    arguments: dict[str, object] = {}
    for argument, value in module.arguments.items():
        parameter = known.get(argument)
        if parameter is not None and parameter.kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, Mapping):
            arguments.update(value)
        else:
            arguments[argument] = value
    return {"module": name, **written_arguments(kind, arguments)}


def _wire(graph: ModelGraph, wire: Wire) -> Plain:
    source = wire.child if wire.child in graph.observations else wire.variable
    options: dict[str, Plain] = {}
    if wire.via is not None:
        options["via"] = wire.via
    if not wire.backward:
        options["backward"] = False
    if wire.pool is not None:
        options["pool"] = wire.pool
    if wire.average:
        options["average"] = True
    return {"from": source, **options} if options else source
