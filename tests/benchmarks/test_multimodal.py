"""The comparison of models of both modalities with their parts, in tiny."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.multimodal import MODELS, Outcome, write

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_and_does_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.multimodal", "--quick", "--output", str(tmp_path), "--seeds", "0"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "modules")])
    outputs = []
    for _ in range(2):
        run = subprocess.run(
            [*command, "--models", "sound", "pca-fusion"],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout)
    assert "pca-fusion 0: " in outputs[0]
    assert "pca-fusion 0: " not in outputs[1]
    content = json.loads((tmp_path / "multimodal-quick.json").read_text())
    assert [row["model"] for row in content["rows"]] == ["sound", "pca-fusion"]


def test_the_margin_is_over_the_better_part_of_the_same_model(tmp_path: Path) -> None:
    reached = {"pca-image": (0.6, 0.7), "sound": (0.8, 0.9), "pca-fusion": (0.95, 0.97)}
    for name, each in reached.items():
        for seed, value in enumerate(each):
            outcome = Outcome(name, seed, value, None, None, -1.0, 1.0)
            (tmp_path / f"{name}-{seed}.json").write_text(json.dumps(vars(outcome)))
    write(tmp_path, tmp_path / "report", threads=1, quick=True)
    [fusion] = [
        row
        for row in json.loads((tmp_path / "report" / "multimodal-quick.json").read_text())["rows"]
        if row["model"] == "pca-fusion"
    ]
    assert fusion["accuracy"] == "0.960 ± 0.014"
    assert fusion["each seed"] == "0.950 0.970"
    assert (fusion["best part"], fusion["margin"]) == ("0.850", "+0.110")


def test_parts_are_models_of_their_own() -> None:
    names = {model.name for model in MODELS}
    assert all(set(model.parts) <= names for model in MODELS)
    assert len(names) == len(MODELS)
