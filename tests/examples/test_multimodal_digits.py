"""The example of several modalities runs without its data set, and tells one modality from the other."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_images_and_words_are_sorted_together_and_each_tells_the_digit(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "multimodal_digits.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PGMGRAPH_DATA": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    found = {line[:15].strip(): float(line.split()[-1]) for line in run.stdout.splitlines() if " accuracy " in line}
    assert found.keys() == {"together", "from pixels", "from heard"}
    assert min(found.values()) > 0.95
