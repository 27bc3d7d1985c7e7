"""A graph's wiring as words: what `graph_figure` draws, and Mermaid's text for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgmgraph.graph import ModelGraph
from pgmgraph.observation import Observation
from pgmgraph.ports import Node
from pgmgraph.wires import Wire


@dataclass(frozen=True)
class Wiring:
    """Who is wired to whom, in words; `graph_figure` and `mermaid` take its two parts.

    Attributes:
        nodes: the caption of each node by its name: the class of a module, the size of an observation.
        wires: (child, parent, label) of each wire; the label says what is sent up, and down where anything is.
    """

    nodes: Mapping[str, str]
    wires: tuple[tuple[str, str, str], ...]


def wiring(graph: ModelGraph) -> Wiring:
    """The wiring of a graph, in words."""
    nodes = {name: _caption(graph[name]) for name in graph.network}
    return Wiring(nodes, tuple((wire.child, wire.parent, _label(wire)) for wire in graph.wires))


def mermaid(nodes: Mapping[str, str], wires: Sequence[tuple[str, str, str]]) -> str:
    """A wiring as a Mermaid flowchart (https://mermaid.js.org), which many viewers of Markdown draw.

    Args:
        nodes: as for `graph_figure`; a node without children is shaded.
        wires: as for `graph_figure`.

    Returns:
        The text, without a code fence, ending in a new line.
    """
    # Names of our own: Mermaid trips over some that users like, `end` among them.
    ids = {name: f"n{number}" for number, name in enumerate(nodes)}
    has_children = {parent for _, parent, _ in wires}
    lines = ["flowchart BT"]
    for name, caption in nodes.items():
        text = f"<b>{_escaped(name)}</b>" + (f"<br/>{_escaped(caption)}" if caption else "")
        lines.append(f'    {ids[name]}["{text}"]' + ("" if name in has_children else ":::observed"))
    for child, parent, label in wires:
        middle = f'|"{_escaped(label)}"| ' if label else ""
        lines.append(f"    {ids[child]} -->{middle or ' '}{ids[parent]}")
    lines.append("    classDef observed fill:#e4e7ec,stroke:#4a5568,color:#222222")
    return "\n".join(lines) + "\n"


def _caption(node: Node) -> str:
    if not isinstance(node, Observation):
        return type(node).__name__
    # What is a stand-in for data to come has a shape, and no items.
    items = () if bool(node.point.missing_rows().all()) else (len(node),)
    shape = " \N{MULTIPLICATION SIGN} ".join(f"{size:,}" for size in (*items, *node.point.event_shape))
    return f"Observation\n{shape}"


def _label(wire: Wire) -> str:
    """The variable, what is sent up, and what is sent down."""
    up = wire.forward.__name__ + (f" (its {wire.via})" if wire.via else "")
    up += f", pooled into {wire.pool}" if wire.pool else ""
    lines = [f"{wire.out}: \N{UPWARDS ARROW} {up}"]
    if wire.back is not None:
        lines.append(f"\N{DOWNWARDS ARROW} {wire.back.__name__ if wire.backward else 'left out'}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Text that Mermaid shows as it is, whatever signs are in it."""
    signs = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\n": "<br/>"}
    return "".join(signs.get(sign, sign) for sign in text)
