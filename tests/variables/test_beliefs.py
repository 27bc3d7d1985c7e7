"""Beliefs as an object: joined, saved, loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from pgmgraph import Beliefs, Categorical, Gaussian, save_beliefs
from pgmgraph.errors import MessageError, OutputError
from tests.refusals import refused


def beliefs(n: int = 6) -> Beliefs:
    generator = torch.Generator().manual_seed(0)
    mean, probs = torch.randn(n, 2, generator=generator), torch.rand(n, 3, generator=generator)
    return Beliefs({"vae.z": Gaussian(mean, mean.square()), "gmm.c": Categorical(probs / probs.sum(1, keepdim=True))})


def part(whole: Beliefs, rows: slice) -> Beliefs:
    return Beliefs({name: message[rows] for name, message in whole.items()})


def assert_equal(one: Beliefs, other: Beliefs) -> None:
    assert list(one) == list(other)
    for name, message in one.items():
        for field in message.per_item:
            assert torch.equal(getattr(message, field), getattr(other[name], field))


def test_blocks_put_together_are_the_whole() -> None:
    whole = beliefs()
    assert_equal(
        Beliefs.concatenate([part(whole, slice(4)), part(whole, slice(4, 5)), part(whole, slice(5, 6))]), whole
    )
    assert Beliefs.concatenate([whole]) is whole


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    whole, path = beliefs(), tmp_path / "new folder" / "beliefs.npz"
    assert whole.save(path) == path
    loaded = Beliefs.load(str(path))
    assert isinstance(loaded, Beliefs)
    assert_equal(loaded, whole)
    save_beliefs((part(whole, slice(n, n + 2)) for n in (0, 2, 4)), path)
    assert_equal(Beliefs.load(path), whole)


def test_what_cannot_be_saved_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(OutputError, ".npz or .parquet", "beliefs.csv", "Rename it"):
        beliefs().save(tmp_path / "beliefs.csv")
    for name in ("a.npz", "a.parquet"):
        with refused(MessageError, "at least one block", "got none"):
            save_beliefs([], tmp_path / name)
    (tmp_path / "file").touch()
    with refused(OutputError, "file/a.npz", "choose another"):
        beliefs().save(tmp_path / "file" / "a.npz")
    monkeypatch.delitem(sys.modules, "pgmgraph.variables.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refused(OutputError, "pyarrow", "pip install 'pgmgraph[parquet]'"):
        beliefs().save(tmp_path / "a.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
