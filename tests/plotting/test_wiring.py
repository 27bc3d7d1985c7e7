"""A graph's wiring in words, and as Mermaid's text, whose grammar no name may break."""

from __future__ import annotations

import re

import torch

from pgmgraph import ModelGraph, Observation
from pgmgraph.plotting import graph_figure, mermaid, wiring
from tests.toys import Centre, Noisy, Sink, observed

NODE = re.compile(r' {4}(?P<id>n\d+)\["(?P<text>[^"]*)"\](?P<observed>:::observed)?')
WIRE = re.compile(r' {4}(?P<child>n\d+) -->(\|"(?P<label>[^"]*)"\|)? +(?P<parent>n\d+)')


def chain(*, backward: bool = True) -> ModelGraph:
    pixels, noisy, centre = observed(1500, 2), Noisy(), Centre()
    graph = ModelGraph(pixels=pixels, noisy=noisy, centre=centre)
    graph.connect(pixels.value, noisy.y)
    graph.connect(noisy.z, centre.x, backward=backward)
    return graph


def test_nodes_and_wires_say_what_they_are() -> None:
    words = wiring(chain())
    assert words.nodes == {"pixels": "Observation\n1,500 × 2", "noisy": "Noisy", "centre": "Centre"}
    assert words.wires == (
        ("pixels", "noisy", "value: ↑ Point"),
        ("noisy", "centre", "z: ↑ Gaussian\n↓ GaussianPotential"),
    )


def test_a_message_that_is_left_out_and_one_that_is_converted_are_named() -> None:
    assert wiring(chain(backward=False)).wires[1][2] == "z: ↑ Gaussian\n↓ left out"
    pixels, noisy, second = observed(), Noisy(), Noisy()
    graph = ModelGraph(pixels=pixels, noisy=noisy, second=second)
    graph.connect(pixels.value, noisy.y)
    graph.connect(noisy.z, second.y, via="mean")
    assert wiring(graph).wires[1][2] == "z: ↑ Point (its mean)"


def test_a_stand_in_for_data_has_a_shape_and_no_items() -> None:
    placeholder = Observation(torch.zeros(3, 8, 9)).absent(1)
    sink = Sink()
    graph = ModelGraph(pixels=placeholder, sink=sink)
    graph.connect(placeholder.value, sink.x)
    assert wiring(graph).nodes["pixels"] == "Observation\n8 × 9"


def test_the_words_are_what_pictures_take() -> None:
    words = wiring(chain())
    texts = {text.get_text() for text in graph_figure(words.nodes, words.wires).axes[0].texts}
    assert {"pixels", "noisy", "centre", "value: ↑ Point"} <= texts


def test_mermaid_has_a_line_for_each_node_and_wire() -> None:
    words = wiring(chain())
    first, *lines, _ = mermaid(words.nodes, words.wires).splitlines()
    assert first == "flowchart BT"
    nodes = [found for line in lines if (found := NODE.fullmatch(line))]
    wires = [found for line in lines if (found := WIRE.fullmatch(line))]
    assert len(nodes) + len(wires) == len(lines)
    names = {found["id"]: found["text"].split("</b>")[0].removeprefix("<b>") for found in nodes}
    assert list(names.values()) == list(words.nodes)
    assert [bool(found["observed"]) for found in nodes] == [True, False, False]
    assert [(names[found["child"]], names[found["parent"]]) for found in wires] == [
        (child, parent) for child, parent, _ in words.wires
    ]


def test_no_name_breaks_mermaids_grammar() -> None:
    wild = {"end": 'a "quoted" [caption]', "subgraph": "<script>#1;\nbelow", "plain": ""}
    text = mermaid(wild, [("end", "subgraph", 'x"|y'), ("subgraph", "plain", "")])
    lines = text.splitlines()[1:-1]
    assert all(NODE.fullmatch(line) or WIRE.fullmatch(line) for line in lines)
    assert "a #quot;quoted#quot; [caption]" in text
    assert "#lt;script#gt;#35;1;<br/>below" in text
