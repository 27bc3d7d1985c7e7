"""The example of sequences runs without its data set, and time raises accuracy and F."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_models_that_know_time_come_out_ahead(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "gmm_hmm.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PGMGRAPH_DATA": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    rows = {line[:10].strip(): line[10:].split() for line in run.stdout.splitlines()}
    found = {name: (float(row[1]), float(row[3])) for name, row in rows.items()}
    assert set(found) == {"GMM", "GMM + HMM", "HMM"}
    assert found["GMM + HMM"][0] == found["HMM"][0] == 1.0
    assert found["GMM"][0] < 1.0
    assert found["GMM"][1] + 90 < found["GMM + HMM"][1]
