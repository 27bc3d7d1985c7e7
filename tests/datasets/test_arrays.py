"""Headers that lie claim no memory; what is large goes to a temporary file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from pgmgraph.datasets import arrays, read_values
from pgmgraph.errors import DataFileError
from tests.datasets import files_made
from tests.datasets.files_made import write
from tests.refusals import refused


@pytest.mark.parametrize(
    "name", ["squeezed.npz", "images-idx3-ubyte.gz", "numbers.csv", "checked.parquet", "grey/0.png"]
)
def test_what_is_large_goes_to_a_file_that_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = write(tmp_path, name, files_made.FILES[name]())
    expected = read_values(source)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
    read = read_values(source)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, expected)
    assert list(scratch.iterdir()) == []


def test_a_disk_without_room_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = write(tmp_path, "a.npz", files_made.FILES["squeezed.npz"]())
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with refused(DataFileError, "6 x 4 float64", "No space left", "TMPDIR"):
        read_values(source)
