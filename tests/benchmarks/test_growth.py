"""`python -m benchmarks.growth` from the command line to the report, on tiny sizes."""

import json
import time

import pytest
import torch

from benchmarks.growth import Peak
from tests.benchmarks.test_benchmarks import run


@pytest.mark.slow
def test_sizes_that_were_measured_before_stay(tmp_path):
    def report():
        printed = run("growth", "--quick", "--output", str(tmp_path), "--folder", str(tmp_path))
        return printed, json.loads((tmp_path / "growth-quick.json").read_text())

    printed, content = report()
    small, large = content["rows"]
    assert (small["images"], large["images"]) == (2_000, 4_000)
    assert large["messages, MB"] == pytest.approx(2 * small["messages, MB"])
    assert small["images, MB"] == pytest.approx(2_000 * 784 / 1e6)
    assert all(row["s"] > row["second round, s"] > 0 for row in (small, large))
    assert printed.startswith("# Growth with messages on the disk\n")
    content["rows"].append({**large, "images": 9_000})
    (tmp_path / "growth-quick.json").write_text(json.dumps(content))
    _, again = report()
    assert [row["images"] for row in again["rows"]] == [2_000, 4_000, 9_000]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growth-quick.json", "growth-quick.md"]


def test_the_peak_is_of_what_comes_and_goes_within_the_block():
    peak, size = Peak(), 64 * 2**20
    with peak.watched():
        passing = torch.ones(size // 4)
        time.sleep(0.1)
        del passing
    assert 0.9 * size < peak.bytes < 1.5 * size
