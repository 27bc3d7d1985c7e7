"""`pgmgraph modules`, `show` and `check`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import pgmgraph
from pgmgraph import registry
from pgmgraph.cli import looking
from pgmgraph.config import load_graph, parameters
from pgmgraph.plotting import mermaid, wiring
from tests.cli.calls import done, records, wrong


def test_every_installed_module_is_listed_with_its_ports_and_parameters() -> None:
    [found] = records("modules")
    assert [one["name"] for one in found["modules"]] == list(registry.names())
    for one in found["modules"]:
        kind = registry.load(one["name"])
        assert list(one["ports"]) == list(kind.ports)
        assert list(one["parameters"]) == [parameter.name for parameter in parameters(kind)]
        assert one["from"][0].startswith(f"pgmgraph {pgmgraph.__version__}: ")


def test_a_module_is_listed_for_people() -> None:
    text = done("modules", "gmm")
    for part in ("gmm  (pgmgraph", "components", "required", "Gaussian", "CategoricalPotential", "forgetting", "0.6"):
        assert part in text
    assert "vae  (" not in text


def test_an_unknown_module_is_refused_with_the_nearest() -> None:
    assert "Did you mean 'gmm'?" in wrong(2, "modules", "gm")


def test_a_broken_plugin_is_listed_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_package:Module", registry.GROUP)
    offers = {**registry._offers(), "broken": [broken]}
    monkeypatch.setattr(registry, "_offers", lambda: offers)
    monkeypatch.setattr(looking, "entry_points", lambda *, group, name: EntryPoints(offers.get(name, [])))
    text = done("modules")
    assert "broken: The module 'broken' of an unknown distribution" in text
    assert "no_such_package" in text
    assert "gmm  (pgmgraph" in text


def test_the_wiring_is_shown_as_a_table_and_as_mermaid(folder: Path) -> None:
    text = done("show", "graph.yaml")
    words = wiring(load_graph("graph.yaml"))
    assert "gmm.x" in text
    assert "GaussianPotential" in text
    [found] = records("show", "graph.yaml", "--set", "wires.gmm.x.backward=false")
    assert [(wire["variable"], wire["down"]) for wire in found["wires"]] == [
        ("pixels.value", "-"),
        ("vae.z", "left out"),
    ]
    assert found["nodes"].keys() == words.nodes.keys()
    assert mermaid(words.nodes, words.wires).startswith("flowchart")
    assert "flowchart BT" in text


def test_the_wiring_is_drawn(folder: Path) -> None:
    done("show", "graph.yaml", "--png", "graph.png")
    assert Path("graph.png").read_bytes().startswith(b"\x89PNG")


def test_a_graph_that_fits_together_is_said_to(folder: Path) -> None:
    assert "It fits together." in done("check", "graph.yaml")
    [found] = records("check", "graph.yaml", "--set", "vae.latent_dim=5")
    assert found["shapes"]["gmm"]["x"] == [5]
    assert found["plates"] == {"vae": "items", "gmm": "items"}
    assert found["without_data"] == []


def test_a_graph_is_checked_without_its_data_too(folder: Path) -> None:
    text = Path("graph.yaml").read_text(encoding="utf-8")
    Path("bare.yaml").write_text(text.replace(", data: digits.npy", ""), encoding="utf-8")
    assert "No data were given for pixels." in done("check", "bare.yaml")
    assert "labels.npy" not in wrong(2, "check", "bare.yaml", "--data", "pixels=labels.npy")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("vae.x: pixels", "vae.y: pixels", "vae.x"),
        ("module: gmm", "module: gnm", "Did you mean 'gmm'?"),
        ("scale: 0.00392156862745098, ", "", "within"),
        ("rounds: 2", "round: 2", "Did you mean 'rounds'?"),
        ("rounds: 2", "rounds: 2\n   seed: 1", "line"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, old: str, new: str, part: str) -> None:
    text = Path("graph.yaml").read_text(encoding="utf-8")
    Path("graph.yaml").write_text(text.replace(old, new), encoding="utf-8")
    assert part in wrong(2, "check", "graph.yaml")
