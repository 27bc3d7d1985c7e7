"""What is too large for memory lies in files without a name, and says so where there is no room."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pytest
import torch

from pgmgraph.errors import OutputError
from pgmgraph.executors.spill import Spill
from tests.refusals import refused

MEBIBYTE = 2**20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.bool, torch.uint8, torch.int64])
def test_a_spilled_tensor_holds_what_is_put_into_it(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.arange(24).reshape(2, 3, 4).to(dtype)
    spilled = Spill(0, tmp_path).empty((2, 3, 4), dtype)
    spilled.copy_(values)
    assert spilled.dtype == dtype
    assert torch.equal(spilled, values)
    assert spilled.is_contiguous()
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_for_all_tensors_together() -> None:
    tensors = [((10, 3), torch.float32), ((10,), torch.float64)]
    assert Spill(199).takes(tensors)
    assert not Spill(200).takes(tensors)


def test_the_room_comes_back_with_the_last_tensor(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the system does not list open files")
    before = open_files()
    tensor = Spill(0, tmp_path).empty((MEBIBYTE,), torch.uint8)
    view = tensor[10:20]
    del tensor
    view.fill_(3)  # whoever holds a part of it holds it
    assert open_files() == before + 1
    assert view.tolist() == [3] * 10
    del view
    gc.collect()
    assert open_files() == before


def test_a_full_disk_is_an_error_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with refused(OutputError, "4,000 bytes", str(tmp_path), "No space left", "spill_above") as caught:
        Spill(0, tmp_path).empty((1000,), torch.float32)
    assert caught.value.path == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with refused(OutputError, str(tmp_path / "none"), "No such file"):
        Spill(0, tmp_path / "none").empty((3,), torch.float32)
