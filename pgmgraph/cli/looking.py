"""`pgmgraph modules`, `show` and `check`: what is installed, and what a graph is, before it learns."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from pgmgraph import registry
from pgmgraph.cli.answers import Answer
from pgmgraph.cli.arguments import Data, GraphName, Settings
from pgmgraph.cli.blueprints import Blueprint
from pgmgraph.cli.opened import given_data
from pgmgraph.cli.plans import Plan
from pgmgraph.cli.sources import values_of
from pgmgraph.config import config_text, parameters
from pgmgraph.errors import PluginError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import MessageType
from pgmgraph.module import Module
from pgmgraph.ports import In, Ins, Out

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Modules by name; all by default.")]


def modules(answer: Answer, names: Names = None) -> None:
    """List the modules that are installed: where they come from, their ports and their parameters."""
    found = [_module(name) for name in names or registry.names()]
    for one in found:
        answer.say(f"{one['name']}  ({', '.join(one['from'])})")
        if "error" in one:
            answer.say(f"  broken: {one['error']}\n")
            continue
        answer.say(f"  {one['summary']}\n")
        answer.table(
            ["  port", "", "upwards", "downwards"],
            [[f"  {name}", port["kind"], port["up"], port["down"]] for name, port in one["ports"].items()],
        )
        answer.say()
        answer.table(
            ["  parameter", "type", "default"],
            [
                [f"  {name}", stated["type"], "required" if stated["required"] else _in_yaml(stated["default"])]
                for name, stated in one["parameters"].items()
            ],
        )
        answer.say()
    answer.record({"modules": found})


def show(
    answer: Answer,
    graph: GraphName,
    data: Data = None,
    settings: Settings = None,
    png: Annotated[Path | None, typer.Option("--png", help="Draw it into this file (.png, .pdf or .svg) too.")] = None,
) -> None:
    """Show how a graph is wired, as a table and as Mermaid's text."""
    from pgmgraph.plotting import graph_figure, mermaid, save, wiring

    made = _made(graph, data, settings)
    words = wiring(made)
    text = mermaid(words.nodes, words.wires)
    answer.table(["name", "what"], [[name, " ".join(caption.split())] for name, caption in words.nodes.items()])
    answer.say()
    wires = _wires(made)
    answer.table(["variable", "explained by", "sent up", "sent down"], [list(wire.values()) for wire in wires])
    answer.say(f"\n{text}")
    if png is not None:
        answer.say(str(save(graph_figure(words.nodes, words.wires), png)))
    answer.record({"nodes": dict(words.nodes), "wires": wires, "mermaid": text, "png": png})


def check(answer: Answer, graph: GraphName, data: Data = None, settings: Settings = None) -> None:
    """Find every mismatch of a graph, and of its data if they are given, before anything is learnt."""
    blueprint = Blueprint(graph, settings or ())
    Plan.of(blueprint.learning, {})
    made = _made(graph, data, settings)
    checked = made.check()
    rows = [
        [name, port, " x ".join(map(str, shape)) or "one value", checked.plates.get(name, "-")]
        for name, shapes in checked.shapes.items()
        for port, shape in shapes.items()
    ]
    answer.table(["module", "port", "an item", "plate"], rows)
    for remark in checked.remarks:
        answer.say(f"\nRemark: {remark}")
    absent = [name for name, one in made.observations.items() if bool(one.point.missing_rows().all())]
    answer.say("\nIt fits together." + (f" No data were given for {', '.join(absent)}." if absent else ""))
    answer.record(
        {
            "shapes": {name: dict(shapes) for name, shapes in checked.shapes.items()},
            "plates": dict(checked.plates),
            "remarks": checked.remarks,
            "without_data": absent,
        }
    )


def _made(graph: str, data: list[str] | None, settings: list[str] | None) -> ModelGraph:
    blueprint = Blueprint(graph, settings or ())
    return blueprint.graph(values_of({**blueprint.sources, **given_data(data)}), seed=0)


def _module(name: str) -> dict[str, Any]:
    """All that can be said of an installed module; of a broken one, what is wrong with it."""
    found = entry_points(group=registry.GROUP, name=name)
    entries = {(one.value, one.dist and f"{one.dist.name} {one.dist.version}") for one in found}
    told: dict[str, Any] = {"name": name, "from": sorted(f"{where or 'unknown'}: {value}" for value, where in entries)}
    try:
        kind = registry.load(name)
    except PluginError as error:
        if not entries:
            raise
        return {**told, "error": str(error)}
    return {
        **told,
        "summary": (kind.__doc__ or kind.__name__).strip().splitlines()[0],
        "ports": {port: _port(declaration) for port, declaration in kind.ports.items()},
        "parameters": _parameters(kind),
    }


def _parameters(kind: type[Module]) -> dict[str, Mapping[str, object]]:
    return {
        one.name: {"type": one.annotation, "required": one.required, "default": one.default} for one in parameters(kind)
    }


def _port(declaration: In | Ins | Out) -> dict[str, str]:
    if isinstance(declaration, Out):
        return {"kind": "Out", "up": declaration.sends.__name__, "down": _listed(declaration.backs)}
    kind = type(declaration).__name__ + (", optional" if declaration.optional else "")
    return {"kind": kind, "up": _listed(declaration.accepts), "down": _listed(declaration.backs)}


def _listed(types: tuple[MessageType, ...]) -> str:
    return " or ".join(one.__name__ for one in types) or "-"


def _in_yaml(value: object) -> str:
    return config_text({"": value}).partition(": ")[2].strip()


def _wires(graph: ModelGraph) -> list[dict[str, str]]:
    return [
        {
            "variable": wire.variable,
            "explained_by": wire.target,
            "up": wire.forward.__name__
            + (f" (its {wire.via})" if wire.via else "")
            + (f", pooled into {wire.pool}" if wire.pool else ""),
            "down": "-" if wire.back is None else wire.back.__name__ if wire.backward else "left out",
        }
        for wire in graph.wires
    ]
