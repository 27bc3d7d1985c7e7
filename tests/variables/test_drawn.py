"""Draws in a file."""

from pathlib import Path

import numpy as np
import torch

from pgmgraph import Drawn
from pgmgraph.errors import OutputError
from tests.refusals import refused


def test_numpy_reads_what_was_drawn(tmp_path: Path) -> None:
    drawn = Drawn({"vae.z": torch.randn(4, 2), "gmm.c": torch.arange(4), "file": torch.zeros(4, 3, 3)})
    assert drawn.save(tmp_path / "drawn.npz") == tmp_path / "drawn.npz"
    with np.load(tmp_path / "drawn.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(drawn)
        for name, value in drawn.items():
            assert arrays[name].dtype == value.numpy().dtype
            assert np.array_equal(arrays[name], value.numpy())


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with refused(OutputError, "ends in .npz", "drawn.parquet"):
        Drawn({}).save(tmp_path / "drawn.parquet")
    (tmp_path / "file").touch()
    with refused(OutputError, "drawn.npz"):
        Drawn({}).save(tmp_path / "file" / "drawn.npz")
