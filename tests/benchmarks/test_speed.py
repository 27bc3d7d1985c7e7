"""`python -m benchmarks.speed` from the command line to the report, on tiny sizes."""

import json

import pytest

from tests.benchmarks.test_benchmarks import run

TABLES = {
    "rounds": ["modules", "products"],
    "recording": ["recording"],
    "growth": ["growth"],
    "reference": ["reference"],
    "bf16": ["bf16-epoch", "bf16-outcomes"],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed")
    printed = run("speed", "--quick", "--output", str(folder))
    return folder, printed


def content(folder):
    return json.loads((folder / "speed-quick.json").read_text())


@pytest.mark.slow
def test_every_part_has_its_tables_and_its_machine(report):
    folder, printed = report
    parts = content(folder)["parts"]
    assert list(parts) == list(TABLES), "the preset is for a GPU, and for no quick run"
    for name, tables in TABLES.items():
        assert [table["name"] for table in parts[name]["tables"]] == tables
        assert {"cpus", "threads", "torch"} <= parts[name]["machine"].keys()
        for table in parts[name]["tables"]:
            assert table["rows"]
            assert f"## {table['title']}\n" in printed
    assert printed.startswith("# Speed\n")
    assert (folder / "speed-quick.md").read_text().strip() in printed


@pytest.mark.slow
def test_shares_are_shares_and_the_smallest_size_is_the_measure_of_growth(report):
    folder, _ = report
    parts = content(folder)["parts"]
    for row in parts["rounds"]["tables"][1]["rows"]:
        assert 0 < row["share of the operations"] < 1
        assert 0 < row["share of the round"] < 1
    smallest, larger = parts["growth"]["tables"][0]["rows"]
    assert smallest["time an image"] == 1.0
    assert larger["images, MB"] == pytest.approx(2 * smallest["images, MB"])
    assert larger["messages, MB"] == pytest.approx(2 * smallest["messages, MB"])
    # An image of the model that is measured has 10 means and variances of four bytes, and twice 10 weights of eight.
    assert smallest["messages, MB"] == pytest.approx(smallest["images"] * (2 * 10 * 4 + 2 * 10 * 8) / 1e6)


@pytest.mark.slow
def test_a_part_that_is_measured_again_leaves_the_others_as_they_are(report):
    folder, _ = report
    before = content(folder)["parts"]
    run("speed", "--quick", "--parts", "reference", "--output", str(folder))
    after = content(folder)["parts"]
    assert list(after) == list(before)
    assert {name for name in before if after[name] != before[name]} == {"reference"}
