"""The example of schedules runs, and updates as often as each schedule says."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_schedule_has_a_row_with_its_numbers_of_updates(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "custom_schedule.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    rows = {line[:12].strip(): line[12:].split() for line in run.stdout.splitlines()[1:]}
    updates = {name: (int(row[0]), int(row[1])) for name, row in rows.items()}
    assert updates == {"bottom_up": (8, 8), "a list": (8, 16), "a function": (8, 14), "one stage": (8, 8)}
    assert all(0.3 < float(row[3]) <= 1 for row in rows.values())
