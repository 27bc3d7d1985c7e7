"""Beliefs as a table: a row for each item, a column for each tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from pgmgraph import Beliefs, Categorical, Gaussian, MixturePotential, Point, save_beliefs
from pgmgraph.errors import MessageError, OutputError
from tests.refusals import refused

N = 5


def beliefs() -> Beliefs:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(N, 2, generator=generator)
    z = Gaussian(mean, (mean.unsqueeze(2) * mean.unsqueeze(1)).double(), missing=torch.arange(N) == 3)
    pixels = Point(torch.randint(256, (N, 2, 4), generator=generator).byte(), scale=1 / 255)
    return Beliefs({"vae.z": z, "gmm.c": Categorical(torch.full((N, 4), 0.25)), "pixels": pixels})


def test_columns_are_lists_as_deep_as_the_tensors(tmp_path: Path) -> None:
    whole, path = beliefs(), tmp_path / "a.parquet"
    save_beliefs([Beliefs({name: one[rows] for name, one in whole.items()}) for rows in (slice(3), slice(3, N))], path)
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 2
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == [
        "vae.z.mean",
        "vae.z.variance",
        "vae.z.missing",
        "gmm.c.probs",
        "gmm.c.missing",
        "pixels.value",
        "pixels.missing",
    ]
    z, pixels = whole["vae.z"], whole["pixels"]
    assert isinstance(z, Gaussian)
    assert isinstance(pixels, Point)
    read = {name: table[name].to_pylist() for name in table.column_names}
    assert np.array_equal(np.array(read["vae.z.mean"], dtype=np.float32), z.mean)
    assert np.array_equal(np.array(read["vae.z.variance"]), z.variance)
    assert read["vae.z.missing"] == [False, False, False, True, False]
    assert read["gmm.c.missing"] == [False] * N
    assert np.allclose(np.array(read["pixels.value"]), pixels.value / 255, rtol=1e-6)


def test_what_has_no_rows_of_its_own_is_refused(tmp_path: Path) -> None:
    one = beliefs()
    z = one["vae.z"]
    assert isinstance(z, Gaussian)
    shared = MixturePotential(N, torch.zeros(2), torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2))
    for block, parts in (
        (Beliefs({"gmm.x": shared}), ("belief about gmm.x", "MixturePotential", "Save as .npz")),
        (Beliefs({**one, "top.v": z[:2]}), ("one plate", "vae.z of 5", "top.v of 2", "Save as .npz")),
    ):
        with refused(MessageError, *parts):
            block.save(tmp_path / "a.parquet")
    other = Beliefs({**one, "vae.z": replace(z, mean=z.mean.double())})
    with refused(MessageError, "columns of the first block", "same types"):
        save_beliefs([one, other], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
    with refused(OutputError, str(tmp_path / "a.parquet"), "No space left on device", "Make room"):
        beliefs().save(tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
