"""The comparison of models of several modalities with their parts: the command, in tiny."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.multimodal import PARTS, main
from benchmarks.multimodal_parts import Part


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks.multimodal", "--quick", "--seeds", "0", *arguments])
    return main()


def test_it_runs_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["mixture", "mixture, HMM", "one LDA over all five"]
    outputs = []
    for _ in range(2):
        arguments = ["--output", str(tmp_path), "--parts", "cycle", "chain", "--models", *names]
        assert _run(monkeypatch, *arguments) == 0
        outputs.append(capsys.readouterr().out)
    assert "cycle, mixture, HMM, seed 0: " in outputs[0]
    assert "seed 0: " not in outputs[1]
    content = json.loads((tmp_path / "multimodal-quick.json").read_text())
    models = [(row["data"], row["model"]) for row in content["rows"] if row["model"]]
    assert models == [("cycle", names[0]), ("cycle", names[1]), ("chain", names[2])]
    assert (tmp_path / "multimodal-quick.png").stat().st_size > 5_000


def test_a_model_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _run(monkeypatch, "--models", "mixtures")
    assert "got 'mixtures'" in capsys.readouterr().err


def test_data_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["benchmarks.multimodal", "--output", str(tmp_path), "--parts", "cycle"])
    assert main() == 1
    assert "the data of cycle are not in" in capsys.readouterr().err


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_parts_are_models_of_their_own(part: Part[Any]) -> None:
    names = [model.name for model in part.models]
    assert len(set(names)) == len(names)
    for number, model in enumerate(part.models):
        assert set(model.beside) <= set(names[:number])


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_a_model_measures_what_its_parts_do(part: Part[Any]) -> None:
    """Else there is no margin."""
    data = part.load(True)
    last = part.models[-1]
    parts = [model for model in part.models if model.name in last.beside]
    figures = last.learn(data, 0).figures
    assert all(set(one.learn(data, 0).figures) & set(figures) for one in parts)
