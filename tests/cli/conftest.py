"""A folder with a graph and its data; and one run that has learnt, for all tests that only look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calls import done, lay_out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with graph.yaml, made.py, digits.npy, labels.npy and new.npy in it."""
    monkeypatch.chdir(tmp_path)
    return lay_out(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as above in which `runs/graph-1` has learnt for two rounds."""
    place = lay_out(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done("fit", "graph.yaml", "--no-report")
    return place


@pytest.fixture
def learnt(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that run, in a current folder of its own; its data are where they were."""
    shutil.copytree(finished / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Path("runs/graph-1")
