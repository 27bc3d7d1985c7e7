"""The main example, run as a user runs it, on the digits that need no download."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "vae_gmm_mnist.py"


@pytest.fixture
def alone(printed: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """The script without network, data or cache of the machine's own; what it prints."""
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PGMGRAPH_DATA")
    return partial(printed, "vae_gmm_mnist", images=800)


def test_without_mnist_it_says_so_learns_the_bundled_digits_and_names_its_pictures(
    alone: Callable[..., str], tmp_path: Path
) -> None:
    out = alone("--out", str(tmp_path / "out"), "--seed", "3")
    assert out.startswith("No MNIST here, and no download: learning scikit-learn's bundled")
    assert "accuracy on 297 images it never saw, mutual" in out
    assert "mutual learning: round 2/" in out
    pictures = {"latent_pca.png", "latent_tsne.png", "curves.png", "components.png", "reconstructions.png"}
    for picture in pictures:
        assert f"{tmp_path / 'out' / picture}" in out
        assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    histories = results["history"]
    assert set(histories) == {"mutual", "no messages"}
    first = [history["accuracy"][0] for history in histories.values()]
    assert first[0] == first[1], "before any message both are the same model"
    assert histories["mutual"]["accuracy"] != histories["no messages"]["accuracy"]


def test_mnist_that_was_asked_for_by_name_and_is_not_there_is_an_error_that_says_where_it_looked(
    alone: Callable[..., str],
) -> None:
    out = alone("--dataset", "mnist", code=1)
    assert "error:" in out
    assert "pgmgraph/mnist" in out.replace("\n", "")


def test_a_truncated_file_is_named_before_anything_is_learnt(alone: Callable[..., str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 60_000, 28, 28) + b"\0" * 100)
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (data / name).write_bytes(b"\0")
    out = alone("--data-dir", str(data), code=1)
    assert "train-images-idx3-ubyte" in out.replace("\n", "")
    assert "round" not in out


def test_an_output_folder_that_cannot_be_written_is_refused_at_once(alone: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    out = alone("--dataset", "digits", "--out", str(tmp_path / "file" / "out"), code=1)
    assert "Cannot write to" in out
    assert "round" not in out


def test_help_explains_every_option_with_its_default(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")  # and the script is a program of its own
    assert done.returncode == 0
    assert not done.stderr
    for option in ("--preset", "--seed", "--device", "--out", "--dataset", "--data-dir", "--control"):
        assert option in done.stdout
    assert done.stdout.count("(default:") >= 6


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif("PGMGRAPH_DATA" not in os.environ, reason="wants the real MNIST, under $PGMGRAPH_DATA")
def test_on_mnist_mutual_learning_is_ahead_of_its_control(tmp_path):
    data = os.environ["PGMGRAPH_DATA"]
    margins = []
    for seed in ("0", "1", "2"):
        done = run(tmp_path, "--data-dir", data, "--seed", seed, "--out", str(tmp_path / seed))
        assert done.returncode == 0, done.stderr
        histories = json.loads((tmp_path / seed / "results.json").read_text())["history"]
        margins.append(histories["mutual"]["accuracy"][-1] - histories["no messages"]["accuracy"][-1])
    assert sum(margins) > 0
