"""The example of a stream learns from a folder while it is being filled."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_mixture_learns_from_a_folder_that_is_being_filled(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "stream_of_digits.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == [500, 750, 1000, 1250, 1500]
    assert float(lines[-1].split()[3]) > 0.6
    foretold = [float(line.split()[5]) for line in lines[1:]]
    assert foretold[-1] > foretold[0]  # what was learnt says more of what comes
