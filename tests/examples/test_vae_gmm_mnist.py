"""The main example, run as a user runs it, on the digits that need no download."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "vae_gmm_mnist.py"


def run(folder, *arguments):
    """The script with one thread, without network, data or cache of the machine's own."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    environment = {**os.environ, **nowhere, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder), "COLUMNS": "200"}
    environment.pop("PGMGRAPH_DATA", None)
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_mnist_it_says_so_learns_the_bundled_digits_and_names_its_pictures(tmp_path):
    done = run(tmp_path, "--out", str(tmp_path / "out"), "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No MNIST here, and no download: learning scikit-learn's bundled")
    assert "accuracy on 297 images it never saw, mutual" in done.stdout
    assert "mutual learning: round 2/" in done.stdout
    pictures = {"latent_pca.png", "latent_tsne.png", "curves.png", "components.png", "reconstructions.png"}
    for picture in pictures:
        assert f"{tmp_path / 'out' / picture}" in done.stdout
        assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    histories = results["history"]
    assert set(histories) == {"mutual", "no messages"}
    first = [history["accuracy"][0] for history in histories.values()]
    assert first[0] == first[1], "before any message both are the same model"
    assert histories["mutual"]["accuracy"] != histories["no messages"]["accuracy"]


def test_mnist_that_was_asked_for_by_name_and_is_not_there_is_an_error_that_says_where_it_looked(tmp_path):
    done = run(tmp_path, "--dataset", "mnist")
    assert done.returncode == 1
    assert "error:" in done.stdout
    assert "pgmgraph/mnist" in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_a_truncated_file_is_named_before_anything_is_learnt(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 60_000, 28, 28) + b"\0" * 100)
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (data / name).write_bytes(b"\0")
    done = run(tmp_path, "--data-dir", str(data))
    assert done.returncode == 1
    assert "train-images-idx3-ubyte" in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_an_output_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = run(tmp_path, "--dataset", "digits", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 1
    assert "Cannot write to" in done.stdout
    assert "round" not in done.stdout


def test_help_explains_every_option_with_its_default(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for option in ("--preset", "--seed", "--device", "--out", "--dataset", "--data-dir", "--control"):
        assert option in done.stdout
    assert done.stdout.count("(default:") >= 6


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
