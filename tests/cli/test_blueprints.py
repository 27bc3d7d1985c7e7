"""What GRAPH stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pgmgraph.cli.blueprints import Blueprint, without_messages
from pgmgraph.config import load_graph, to_config
from pgmgraph.errors import ConfigError
from tests.refusals import refused


def test_a_file_names_its_data_and_how_to_learn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    blueprint = Blueprint(str(folder / "graph.yaml"), ["vae.latent_dim=3"])
    assert (blueprint.name, blueprint.folder) == ("graph", folder)
    assert blueprint.sources == {"pixels": str(folder / "digits.npy")}
    assert blueprint.learning == {"rounds": 2, "labels": {"gmm.c": "labels.npy"}}
    graph = blueprint.graph({"pixels": np.load(folder / "digits.npy")}, seed=0)
    assert graph.check().shapes["gmm"]["x"] == (3,)


def test_a_function_is_given_the_data_and_can_be_changed_where_it_can_be_told(folder: Path) -> None:
    pixels = np.load("digits.npy")
    Path("plain.py").write_text(Path("made.py").read_text(encoding="utf-8").replace(", decoder=decoder", ""), "utf-8")
    graph = Blueprint("plain.py:graph", ["vae.latent_dim=3", "gmm.components=5"]).graph({"pixels": pixels}, seed=0)
    assert graph.check().shapes["gmm"] == {"x": (3,), "c": (5,)}
    assert len(graph.observations["pixels"]) == len(pixels)
    with refused(ConfigError, "modules.vae.decoder"):
        Blueprint("made.py:graph", ["gmm.components=5"]).graph({"pixels": pixels}, seed=0)


def test_the_control_differs_by_what_goes_back_alone(folder: Path) -> None:
    graph = load_graph("graph.yaml", {"pixels": np.load("digits.npy")}, seed=2)
    control = without_messages(graph, {}, 2, folder)
    assert [wire.sends_back for wire in graph.wires] == [False, True]
    assert [wire.sends_back for wire in control.wires] == [False, False]
    one, other = to_config(graph), to_config(control)
    assert one["modules"] == other["modules"]
    assert control.observations["pixels"].point is graph.observations["pixels"].point


@pytest.mark.parametrize("reference", ["graph", "graph.txt", ""])
def test_what_is_neither_is_refused(reference: str) -> None:
    with refused(ConfigError, "(.yaml, .yml, .json)", "file.py:function"):
        Blueprint(reference)


def test_a_section_fit_that_is_no_mapping_is_refused(folder: Path) -> None:
    Path("graph.yaml").write_text("fit: 3\n", encoding="utf-8")
    with refused(ConfigError, "fit: Expected a mapping", "got 3"):
        Blueprint("graph.yaml")
