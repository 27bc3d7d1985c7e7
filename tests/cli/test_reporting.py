"""`pgmgraph report` and `compare`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pgmgraph import Run
from tests.cli.calls import call, done, records, wrong


@pytest.mark.slow
def test_the_report_tells_of_the_run_and_its_data(learnt: Path) -> None:
    done("report", learnt)
    page = (learnt / "report.html").read_text(encoding="utf-8")
    assert "graph-1" in page
    assert "Clusters" in page
    assert "Latent space" in page
    assert {"model-1", "learning-1"} <= {path.stem for path in (learnt / "pictures").iterdir()}


def test_without_its_data_the_report_has_what_the_run_holds(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--rounds", 1)
    Path("digits.npy").unlink()
    result = call("report", "runs/graph-1", "--out", "page.html")
    assert result.exit_code == 0
    assert "goes without the data of the run" in result.stderr
    assert "accuracy" in Path("page.html").read_text(encoding="utf-8")


def test_data_that_are_not_those_of_the_run_are_told_of(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--rounds", 1)
    np.save("digits.npy", np.load("digits.npy")[::-1])
    result = call("report", "runs/graph-1", "--out", "page.html")
    assert result.exit_code == 0
    assert "the data of pixels are not those that runs/graph-1 learnt from" in result.stderr


def test_runs_are_compared_by_their_last_values(learnt: Path, finished: Path) -> None:
    done("resume", learnt, "--rounds", 3, "--no-report")
    shutil.copytree(finished / "runs" / "graph-1", "runs/other")
    [found] = records("compare", learnt, "runs/other", "--out", "both.html")
    assert [row["run"] for row in found["runs"]] == ["graph-1", "other"]
    assert [row["rounds"] for row in found["runs"]] == [3, 2]
    for row in found["runs"]:
        history = Run(f"runs/{row['run']}").history
        assert row["F"] == history["F"][-1]
        assert row["accuracy"] == history["accuracy"][-1]
    page = Path("both.html").read_text(encoding="utf-8")
    assert "graph-1" in page
    assert "other" in page


def test_runs_of_one_name_are_told_apart_by_their_paths(learnt: Path, finished: Path) -> None:
    other = finished / "runs" / "graph-1"
    [found] = records("compare", learnt, other, "--out", "both.png")
    assert [row["run"] for row in found["runs"]] == [str(learnt), str(other)]
    assert Path("both.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_run_is_refused(learnt: Path) -> None:
    assert "Did you mean 'graph-1'?" in wrong(2, "report", "runs/graph-2")
    assert "Did you mean 'graph-1'?" in wrong(2, "compare", learnt, "runs/grap-1")
    assert "different runs" in wrong(2, "compare", learnt, learnt)
    assert "nowhere.npy" in wrong(2, "report", learnt, "--data", "pixels=nowhere.npy")
