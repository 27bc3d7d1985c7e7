"""A graph, built from plain values: observations first, then modules, then wires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from pgmgraph import registry
from pgmgraph.config.making import Maker
from pgmgraph.config.overrides import SECTIONS
from pgmgraph.config.plain import Plain, joined
from pgmgraph.config.problems import Problems, shown
from pgmgraph.errors import ConfigError, suggestion
from pgmgraph.graph import ModelGraph
from pgmgraph.matrices import SparseMatrix
from pgmgraph.module import Module
from pgmgraph.observation import Observation, Values
from pgmgraph.ports import In, InPort, Ins, Node, Out, OutPort
from pgmgraph.randomness import seed_of, seeded

DType = Literal[
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"
]  # what an Observation may hold


class Builder:
    """Builds one graph, and notes all that stands in the way.

    Args:
        problems: where that is noted.
        folders: where files and modules of the user's own are looked for, besides the current folder.
        data: values by the name of the observation.
        seed: what the randomness of constructors follows from, as that of a network's initial weights.
    """

    def __init__(
        self,
        problems: Problems,
        folders: Sequence[Path],
        data: Mapping[str, Values | SparseMatrix | Observation],
        seed: int,
    ) -> None:
        self._problems = problems
        self._seed = seed
        self._maker = Maker(problems, folders)
        self._data = data
        # Classes of all nodes that are named, so that wires to one that cannot be made are looked at all the same.
        self._kinds: dict[str, type[Node] | None] = {}
        self._nodes: dict[str, Node] = {}

    def graph(self, config: Mapping[str, Plain]) -> ModelGraph:
        """The graph, as far as it can be built."""
        graph = ModelGraph()
        for key in config:
            if key not in SECTIONS:
                self._problems.add(key, f"No such key.{suggestion(key, SECTIONS)} There are: {', '.join(SECTIONS)}.")
        observations = self._section(config, "observations")
        for name, entry in observations.items():
            self._kinds[name] = Observation
            self._add(graph, name, self._observation(name, entry, f"observations.{name}"), f"observations.{name}")
        for name in self._data:
            if name not in observations:
                known = ", ".join(observations) or "none"
                near = suggestion(name, observations)
                self._problems.add("data", f"No observation is named {name!r}.{near} There are: {known}.")
        for name, entry in self._section(config, "modules").items():
            self._kinds.setdefault(name, None)
            self._add(graph, name, self._module(name, entry, f"modules.{name}"), f"modules.{name}")
        if "modules" not in config:
            self._problems.add("modules", "Expected at least one module; got none, as {gmm: {module: gmm, ...}}.")
        for target, entry in self._section(config, "wires").items():
            self._wire(graph, target, entry, f"wires.{target}")
        return graph

    def _section(self, config: Mapping[str, Plain], name: str) -> Mapping[str, Plain]:
        section = config.get(name)
        if section is None:
            return {}
        if not isinstance(section, dict):
            form = "{vae.x: pixels}" if name == "wires" else "{name: {...}}"
            self._problems.add(name, f"Expected a mapping, such as {form}; got {shown(section)}.")
            return {}
        return section

    def _add(self, graph: ModelGraph, name: str, node: Node | None, path: str) -> None:
        if node is not None:
            with self._problems.noted(path):
                graph.add(name, node)
                self._nodes[name] = node

    def _observation(self, name: str, entry: Plain, path: str) -> Observation | None:
        entry = {} if entry is None else entry
        if not isinstance(entry, dict):
            self._problems.add(path, f"Expected a mapping, such as {{event_shape: [784]}}; got {shown(entry)}.")
            return None

        def observation(
            event_shape: Sequence[int] | None = None,
            dtype: DType | None = None,
            scale: float = 1.0,
            plate: str = "items",
            data: str | None = None,
        ) -> Observation:
            made = _observation(self._data.get(name), name, event_shape, dtype or "float32", scale, plate)
            made.source = data
            return made

        made = self._maker.call(observation, "An observation", entry, path)
        return made[0] if made is not None and isinstance(made[0], Observation) else None

    def _module(self, name: str, entry: Plain, path: str) -> Module | None:
        if not isinstance(entry, dict) or not isinstance(entry.get("module"), str):
            installed = ", ".join(registry.names())
            self._problems.add(
                path,
                f"Expected a mapping with the key module, such as {{module: gmm, components: 3}}; got {shown(entry)}. "
                f"Installed: {installed}. One's own: 'package.module:Class' or 'file.py:Class'.",
            )
            return None
        kind = self._kind(entry["module"], joined(path, "module"))
        if kind is None:
            return None
        self._kinds[name] = self._kinds[name] or kind
        arguments = {key: value for key, value in entry.items() if key != "module"}
        with seeded(seed_of(self._seed, name, "__init__", 0), torch.device("cpu")):
            made = self._maker.call(kind, kind.__name__, arguments, path)
        if made is None:
            return None
        module, normal = made
        assert isinstance(module, Module)
        module.recipe = {"module": entry["module"], **normal}
        return module

    def _kind(self, reference: Plain, path: str) -> type[Module] | None:
        """The class of a module, by its registered name or by its target."""
        if isinstance(reference, str) and ":" not in reference:
            with self._problems.noted(path):
                return registry.load(reference)
            return None
        found = self._maker.target(reference, path)
        if found is None:
            return None
        [kind] = found
        if not (isinstance(kind, type) and issubclass(kind, Module) and kind.ports):
            self._problems.add(path, f"Expected a subclass of pgmgraph.Module with ports; got {shown(kind)}.")
            return None
        return kind

    def _wire(self, graph: ModelGraph, target: str, entry: Plain, path: str) -> None:
        options: Mapping[str, Plain] = entry if isinstance(entry, dict) else {"from": entry}
        known = ("from", "via", "backward", "pool", "average")
        wrong = [key for key in options if key not in known]
        for key in wrong:
            near = suggestion(key, known)
            self._problems.add(joined(path, key), f"A wire takes no {key!r}.{near} It takes: {', '.join(known)}.")
        source, via, backward = options.get("from"), options.get("via"), options.get("backward", True)
        if not isinstance(source, str):
            self._problems.add(path, f"Expected what comes from below, such as vae.z or pixels; got {shown(source)}.")
        pool, average = options.get("pool"), options.get("average", False)
        for key, value in {"backward": backward, "average": average}.items():
            if not isinstance(value, bool):
                self._problems.add(joined(path, key), f"Expected true or false; got {shown(value)}.")
        for key, value, kind in (("via", via, "conversion"), ("pool", pool, "plate")):
            if value is not None and not isinstance(value, str):
                self._problems.add(joined(path, key), f"Expected the name of a {kind}; got {shown(value)}.")
        into: InPort | None = None
        out: OutPort | None = None
        with self._problems.noted(path):
            into = self._into(target)
        with self._problems.noted(path):
            out = self._out(source) if isinstance(source, str) else None
        if into is None or out is None or wrong or not isinstance(backward, bool) or not isinstance(average, bool):
            return
        with self._problems.noted(path):
            graph.connect(
                out,
                into,
                via=via if isinstance(via, str) else None,
                backward=backward,
                pool=pool if isinstance(pool, str) else None,
                average=average,
            )

    def _into(self, target: str) -> InPort | None:
        """The In port of a name; None where its module could not be made, which is known already.

        Raises:
            ConfigError: there is no such port.
        """
        name, _, rest = target.partition(".")
        port, dot, key = rest.partition(".")
        kind = self._named(name)
        if kind is None:
            return None
        declaration = kind.ports.get(port)
        names = [f"{name}.{one}" for one, _ in kind.ins()]
        if not isinstance(declaration, In | Ins):
            raise ConfigError(
                f"No In port {target!r}.{suggestion(target, names)} In ports of {name}: {', '.join(names) or 'none'}."
            )
        if isinstance(declaration, Ins) != bool(dot and key):
            form = f"{name}.{port}" + (".key, one of a family" if isinstance(declaration, Ins) else "")
            raise ConfigError(f"Expected {form}; got {target!r}.")
        return InPort(self._nodes[name], declaration, key or None) if name in self._nodes else None

    def _out(self, source: str) -> OutPort | None:
        """The Out port of a name, `vae.z` or `pixels`; otherwise as `_into`."""
        name, _, port = source.partition(".")
        kind = self._named(name)
        if kind is None:
            return None
        if kind is Observation and not port:
            port = "value"
        declaration = kind.ports.get(port)
        names = [name if kind is Observation else f"{name}.{one}" for one, _ in kind.outs()]
        if not isinstance(declaration, Out):
            raise ConfigError(
                f"No Out port {source!r}.{suggestion(source, names)} Out ports of {name}: {', '.join(names) or 'none'}."
            )
        return OutPort(self._nodes[name], declaration) if name in self._nodes else None

    def _named(self, name: str) -> type[Node] | None:
        if name not in self._kinds:
            raise ConfigError(
                f"No module or observation is named {name!r}.{suggestion(name, self._kinds)} "
                f"There are: {', '.join(self._kinds) or 'none'}."
            )
        return self._kinds[name]


def _observation(
    values: Values | SparseMatrix | Observation | None,
    name: str,
    event_shape: Sequence[int] | None,
    dtype: str,
    scale: float,
    plate: str,
) -> Observation:
    if isinstance(values, Observation):
        made = values
    elif event_shape is None and values is None:
        raise ConfigError("Expected the event_shape of one item, such as [784], where there are no data; got none.")
    elif event_shape is None:
        assert values is not None
        made = Observation(values, scale=scale, plate=plate)
    else:
        placeholder = Observation.placeholder(event_shape, getattr(torch, dtype), plate=plate, scale=scale)
        made = placeholder if values is None else placeholder.replaced(values, name)
    if event_shape is not None and made.point.event_shape != tuple(event_shape):
        raise ConfigError(
            f"Expected data of event_shape {tuple(event_shape)}; got {made.point.event_shape}. "
            "Reshape them, or leave event_shape out."
        )
    return made
