"""Every benchmark runs and writes its report; how fast anything is depends on the machine, and is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("engine", "gmm", "lda", "vae")
ROW = {"case", "ours", "other", "ratio", "low", "high", "cpu_ratio", "target", "turns", "extra", "met"}


def run(name, *arguments):
    """What a benchmark prints; it runs in a process of its own, since it sets the number of threads."""
    paths = [str(ROOT), str(ROOT / "modules"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


@pytest.fixture(scope="module", params=NAMES)
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    printed = run(request.param, "--quick", "--output", str(folder))
    content = json.loads((folder / f"{request.param}.json").read_text(encoding="utf-8"))
    return request.param, content, (folder / f"{request.param}.md").read_text(encoding="utf-8"), printed


@pytest.mark.slow
def test_a_report_has_machine_rows_and_notes(report):
    name, content, _, _ = report
    assert content["benchmark"] == name
    assert content["quick"] is True
    assert content["sides"].keys() == {"ours", "other"}
    assert {"cpus", "threads", "torch"} <= content["machine"].keys()
    assert content["notes"]
    assert content["rows"]
    for row in content["rows"]:
        assert row.keys() == ROW
        assert row["turns"] >= 2
        assert row["ours"] > 0
        assert row["low"] <= row["ratio"] <= row["high"]
        assert row["met"] == (None if row["target"] is None else row["ratio"] <= row["target"])


@pytest.mark.slow
def test_the_table_has_a_line_for_each_row_and_is_printed(report):
    _, content, table, printed = report
    assert printed == table
    assert table.startswith(f"# {content['title']}\n")
    for row in content["rows"]:
        assert f"| {row['case']} |" in table


@pytest.mark.slow
def test_both_sides_compute_the_same(report):
    """Equal parameters, bit for bit (engine); equal losses (vae) and means (gmm) up to rounding."""
    name, content, _, _ = report
    if name == "lda":
        pytest.skip("the two sides start at random, each by itself")
    agreement = [value for row in content["rows"] for value in row["extra"].values()]
    assert agreement
    assert all(value is True or (value is not False and value < 1e-6) for value in agreement)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_options(name):
    printed = run(name, "--help")
    for option in ("--quick", "--threads", "--output"):
        assert option in printed
