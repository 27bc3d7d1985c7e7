"""`pgmgraph infer` and `generate`: the files are those of `infer` and `generate` in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet

from pgmgraph import Beliefs, Categorical, Gaussian, ModelGraph, Observation, Run, fit, generate, infer
from pgmgraph_modules.multimodal import SharedVector
from tests.cli.calls import done, records, wrong

torch.set_num_threads(1)


def test_beliefs_about_new_data_are_those_of_python(learnt: Path, finished: Path) -> None:
    new = finished / "new.npy"
    [found] = records("infer", learnt, "--data", f"pixels={new}", "--predict", "pixels", "--out", "beliefs.npz")
    saved = Beliefs.load("beliefs.npz")
    beliefs = infer(Run(learnt).graph(), {"pixels": np.load(new)}, predict=["pixels"])
    assert found["rows"] == {"vae.z": 30, "gmm.c": 30, "pixels": 30}
    latent, cluster = saved["vae.z"], saved["gmm.c"]
    assert isinstance(latent, Gaussian)
    assert isinstance(cluster, Categorical)
    expected = beliefs["vae.z"]
    assert isinstance(expected, Gaussian)
    assert torch.equal(latent.mean, expected.mean)
    assert torch.equal(cluster.probs, beliefs["gmm.c"].probs)  # type: ignore[attr-defined]


def test_what_is_missing_is_filled_in_from_as_many_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(30, 4))
    graph = ModelGraph(shared=(shared := SharedVector(1)))
    for key, part in {"left": values[:, :2], "right": values[:, 2:] + values[:, :1]}.items():
        graph.add(key, Observation(part))
        graph.connect(graph.observations[key].value, shared.x[key])
    fit(graph, rounds=2, run_dir="run", report=False)
    np.save("left.npy", values[:5, :2])
    [found] = records("infer", "run", "--data", "left=left.npy", "--draws", 3, "--out", "filled.npz")
    assert found["rows"] == {"shared.z": 5, "right": 5}
    right, expected = Beliefs.load("filled.npz")["right"], infer(graph, {"left": values[:5, :2]}, draws=3)["right"]
    assert isinstance(right, Gaussian)
    assert isinstance(expected, Gaussian)
    assert torch.equal(right.mean, expected.mean)
    assert torch.equal(right.variance, expected.variance)
    [bare] = records("infer", "run", "--data", "left=left.npy", "--draws", 0, "--out", "bare.npz")
    assert bare["rows"] == {"shared.z": 5}


def test_without_data_those_of_the_run_are_taken(learnt: Path) -> None:
    done("infer", learnt, "--out", "beliefs.parquet")
    assert parquet.read_table("beliefs.parquet").num_rows == 200


def test_an_earlier_round_believes_something_else(learnt: Path) -> None:
    done("infer", learnt, "--out", "now.npz")
    done("infer", learnt, "--out", "then.npz", "--checkpoint", "round-000001")
    now, then = (Beliefs.load(path)["vae.z"] for path in ("now.npz", "then.npz"))
    assert isinstance(now, Gaussian)
    assert isinstance(then, Gaussian)
    assert not torch.equal(now.mean, then.mean)


def test_draws_are_those_of_python(learnt: Path) -> None:
    options = ["--where", "gmm.c=2", "--n", 5, "--temperature", 0.5, "--seed", 7]
    [found] = records("generate", learnt, *options, "--out", "drawn.npz")
    drawn = generate(Run(learnt).graph(), {"gmm.c": 2}, n=5, temperature=0.5, seed=7)
    assert found["shapes"] == {"gmm.c": [5], "vae.z": [5, 2], "pixels": [5, 64]}
    with np.load("drawn.npz") as saved:
        for name, values in drawn.items():
            assert np.array_equal(saved[name], values.numpy())


def test_a_variable_is_fixed_by_a_list_or_by_a_file(learnt: Path) -> None:
    done("generate", learnt, "--where", "vae.z=[0.5, -1]", "--n", 2, "--out", "one.npz")
    np.save("z.npy", np.array([[0.5, -1.0], [0.5, -1.0]]))
    done("generate", learnt, "--where", "vae.z=z.npy", "--n", 2, "--out", "other.npz")
    with np.load("one.npz") as one, np.load("other.npz") as other:
        assert one["vae.z"].tolist() == [[0.5, -1.0], [0.5, -1.0]]
        assert np.array_equal(one["pixels"], other["pixels"])


def test_images_are_drawn_as_a_picture(learnt: Path) -> None:
    done("generate", learnt, "--where", "gmm.c=1", "--n", 11, "--out", "drawn.png")
    assert Path("drawn.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in Path().glob("drawn*")] == ["drawn.png"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["generate", "--where", "gmm.k=1"], ["Did you mean 'gmm.c'?"]),
        (["generate", "--where", "gmm.c=3"], ["from 0 to 2"]),
        (["generate", "--where", "gmm.c"], ["--where gmm.c=3"]),
        (["generate", "--where", "gmm.c=true"], ["number, a list or a file", "true"]),
        (["generate", "--where", "vae.z=[[1], [1, 2]]"], ["equal lists"]),
        (["generate", "--where", "vae.z=nowhere.npy"], ["nowhere.npy"]),
        (["generate", "--n", "0"], ["--n"]),
        (["generate", "--temperature", "-1"], ["--temperature"]),
        (["infer", "--out", "b.npz", "--predict", "pixel"], ["Did you mean 'pixels'?"]),
        (["infer", "--out", "b.npz", "--data", "pixel=x.npy"], ["x.npy"]),
        (["infer", "--out", "b.npz", "--checkpoint", "round-000009"], ["round-000001, round-000002"]),
        (["infer"], ["--out"]),
    ],
)
def test_what_cannot_be_answered_is_refused(learnt: Path, arguments: list[str], parts: list[str]) -> None:
    command, *options = arguments
    message = wrong(2, command, learnt, *options)
    lacking = [part for part in parts if part not in message]
    assert not lacking, f"Expected {lacking} in: {message}"
    assert not list(Path().glob("*.np*"))


def test_a_file_that_cannot_be_written_is_a_failure(learnt: Path) -> None:
    assert "nowhere.txt" in wrong(1, "infer", learnt, "--out", "nowhere.txt")


def test_data_that_are_gone_are_asked_for(learnt: Path) -> None:
    text = (learnt / "run.yaml").read_text(encoding="utf-8")
    assert "digits.npy" in text
    message = wrong(2, "infer", learnt, "--out", "b.npz", "--data", "pixels=gone.npy")
    assert "gone.npy" in message
