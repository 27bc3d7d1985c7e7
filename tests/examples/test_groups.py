"""The example of patches runs, and topics of whole images come out of the words of their patches."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_patches_are_pooled_into_images(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "groups.py"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "37500 patches of 1500 images" in run.stdout
    [accuracy] = re.findall(r"largest topic ([.\d]+)", run.stdout)
    assert float(accuracy) > 0.3  # a tenth by chance
