"""`python -m benchmarks.accuracy` from the command line to the report, on tiny sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import accuracy
from benchmarks.schemes import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SCHEMES = ("expected", "control", "mixture")


def run(*arguments):
    """What is printed; the bundled digits need neither files nor a network."""
    paths = [str(ROOT), str(ROOT / "modules"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accuracy", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PGMGRAPH_DATA": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def quick(folder, *arguments, seeds=(0, 1), schemes=SCHEMES):
    where = ("--output", folder, "--cache", folder / "cache")
    return run("mnist10k", "--quick", "--seeds", *seeds, "--schemes", *schemes, *where, *arguments)


def records(folder):
    """The records by name, as text and time of writing."""
    return {path.stem: (path.read_text(), path.stat().st_mtime_ns) for path in folder.glob("accuracy/*/*.json")}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy")
    return folder, quick(folder)


@pytest.mark.slow
def test_the_first_run_writes_a_record_a_run_and_the_report(done):
    folder, printed = done
    assert set(records(folder)) == {f"{scheme}-{seed}" for scheme in SCHEMES for seed in (0, 1)}
    content = json.loads((folder / "accuracy-mnist10k-quick.json").read_text())
    assert content["quick"] is True
    assert [row["scheme"] for row in content["rows"]] == [
        "expected",
        "scikit-learn on the latents of expected",
        "control",
        "scikit-learn on the latents of control",
        "mixture",
    ]
    for row in content["rows"]:
        assert row["seeds"] == [0, 1]
        assert all(0 < score <= 1 for score in row["test_accuracy"]["each"] + row["training_accuracy"]["each"])
    table = (folder / "accuracy-mnist10k-quick.md").read_text()
    assert printed.endswith(table)
    assert (folder / "accuracy-mnist10k-quick.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((folder / "cache").glob("*.pt"))) == 2, "one first learning for each seed"


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_what_is_lost_or_was_planned_otherwise_is(done):
    folder, _ = done
    before = records(folder)
    [place] = (folder / "accuracy").iterdir()
    (place / "control-1.json").unlink()
    changed = json.loads((place / "mixture-0.json").read_text())
    changed["plan"]["gmm"]["starts"] = 99
    (place / "mixture-0.json").write_text(json.dumps(changed))
    printed = quick(folder)
    after = records(folder)
    assert printed.count("done before") == 4
    redone = {name for name in before if after[name][1] != before[name][1]}
    assert redone == {"control-1", "mixture-0"}
    for name in redone:
        old, new = (json.loads(text[name][0]) for text in (before, after))
        assert new["plan"] == old["plan"]
        assert new["outcome"]["history"]["F"] == old["outcome"]["history"]["F"], "and comes to the same"


@pytest.mark.slow
def test_another_process_adds_its_seed_to_the_same_report_and_again_means_again(done):
    folder, _ = done
    quick(folder, seeds=[2], schemes=["expected"])
    before = records(folder)
    quick(folder, "--again", seeds=[2], schemes=["expected"])
    after = records(folder)
    assert {name for name in before if after[name][1] != before[name][1]} == {"expected-2"}
    row = json.loads((folder / "accuracy-mnist10k-quick.json").read_text())["rows"][0]
    assert row["seeds"] == [0, 1, 2]


@pytest.mark.slow
def test_the_report_alone_is_made_of_what_lies_there(done):
    folder, _ = done
    table = folder / "accuracy-mnist10k-quick.md"
    before, known = table.read_text(), records(folder)
    table.unlink()
    printed = run("mnist10k", "--quick", "--report-only", "--output", folder)
    assert printed == table.read_text() == before
    assert records(folder) == known


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnist", "--schemes", "expcted"], "got 'expcted'"),
        (["mnist", "--seeds", "-1"], "got -1"),
        (["minst"], "invalid choice: 'minst'"),
        (["mnist", "--data-dir", "/nowhere"], "error: Expected the files of MNIST"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(accuracy, "hold_to", lambda threads: None)
    monkeypatch.setattr(sys, "argv", ["accuracy", *arguments, "--output", str(tmp_path)])
    try:
        status = accuracy.main()
    except SystemExit as left:
        status = left.code
    assert status
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_schemes_without_their_library_are_left_out_in_words(monkeypatch, capsys):
    monkeypatch.setattr(accuracy, "can_embed", lambda: False)
    chosen = accuracy.chosen(SETTINGS["best"], ["umap", "control"])
    assert [scheme.name for scheme in chosen] == ["control"]
    assert "umap: left out, since umap-learn is not installed" in capsys.readouterr().out
