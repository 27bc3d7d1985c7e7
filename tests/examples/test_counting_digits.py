"""The example in counting order runs without its data set, and foretells what comes next."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_digits_are_sorted_and_the_next_ones_foretold(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "examples" / "counting_digits.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PGMGRAPH_DATA": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "after 9 come 0 1 2 3 4 5 6 7 8 9" in run.stdout
    [path_accuracy] = re.findall(r"most probable path ([.\d]+)", run.stdout)
    assert float(path_accuracy) > 0.95
    assert (tmp_path / "out" / "counting_digits.png").stat().st_size > 10_000
