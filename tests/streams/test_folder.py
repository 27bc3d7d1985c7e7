"""A folder: files are read once, whole, in order, and while it is being filled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from pgmgraph.errors import DataFileError
from pgmgraph.streams import FolderSource
from tests.refusals import refused


def put(path, number, seconds=0):
    np.save(path, np.full((2, 3), number))
    if seconds:
        os.utime(path, (seconds, seconds))


def read(source):
    return [int(np.asarray(block).flat[0]) for block in source if block is not None]


def over(folder, **arguments):
    return FolderSource(folder, **{"poll": 0.01, "until": lambda: True, **arguments})


def test_files_come_in_order_and_others_are_passed_over(tmp_path):
    for name, seconds in (("b", 30), ("a", 20), ("c", 10)):
        put(tmp_path / f"{name}.npy", seconds, seconds)
    put(tmp_path / ".hidden.npy", 1)
    (tmp_path / "notes.txt").write_text("none of it")
    (tmp_path / "below.npy").mkdir()
    assert read(over(tmp_path, pattern="*.npy")) == [20, 30, 10]
    assert read(over(tmp_path, pattern="*.npy", order="time")) == [10, 20, 30]


def test_a_file_is_read_when_it_stands_still(tmp_path):
    put(tmp_path / "whole.npy", 1)
    content = (tmp_path / "whole.npy").read_bytes()
    growing = tmp_path / "x.npy"
    growing.write_bytes(content[:50])
    blocks: Iterator[object] = iter(FolderSource(tmp_path, "x.npy", poll=0.01))
    assert next(blocks) is None
    growing.write_bytes(content[:100])
    assert next(blocks) is None  # it has grown since
    growing.write_bytes(content)
    assert next(blocks) is None
    assert np.array_equal(next(blocks), np.full((2, 3), 1))
    growing.write_bytes(content)
    assert next(blocks) is None
    assert next(blocks) is None  # what was read is not read again


def test_a_thread_fills_it_and_a_file_says_when_it_is_over(tmp_path):
    def fill():
        for number in range(12):
            put(tmp_path / f".{number:02d}", number)
            (tmp_path / f".{number:02d}.npy").rename(tmp_path / f"{number:02d}.npy")
            time.sleep(0.005)
        (tmp_path / "END").touch()

    thread = threading.Thread(target=fill)
    thread.start()
    found = read(FolderSource(tmp_path, poll=0.01, until="END"))
    thread.join()
    assert found == list(range(12))


def test_what_was_read_is_remembered(tmp_path):
    for number in range(4):
        put(tmp_path / f"{number}.npy", number)
    first = over(tmp_path)
    blocks = (block for block in first if block is not None)
    next(blocks)
    next(blocks)
    second = over(tmp_path)
    second.resume(first.position())
    assert first.position() == ["0.npy", "1.npy"]
    assert read(second) == [2, 3]


def test_images_and_archives_and_readers_of_ones_own(tmp_path):
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((2, 3, 3), dtype=np.uint8)).save(tmp_path / "red.png")
    np.savez(tmp_path / "two.npz", pixels=np.ones((4, 2)), words=np.zeros((4, 3)))
    grey, colour, archive = (block for block in over(tmp_path) if block is not None)
    assert np.array_equal(grey, np.arange(6).reshape(2, 3))
    assert np.asarray(colour).shape == (3, 2, 3)
    assert isinstance(archive, dict)
    assert {name: values.shape for name, values in archive.items()} == {"pixels": (4, 2), "words": (4, 3)}
    sparse.save_npz(tmp_path / "counts.npz", sparse.csr_array(np.eye(3)))
    [counts] = (block for block in over(tmp_path, pattern="counts.npz") if block is not None)
    assert isinstance(counts, sparse.csr_array)
    assert np.array_equal(counts.toarray(), np.eye(3))
    lengths = over(tmp_path, pattern="*.png", read=lambda path: [float(len(path.name))])
    assert [block for block in lengths if block] == [[8.0], [7.0]]


def test_a_corrupt_file_is_named_and_refused_or_skipped(tmp_path):
    put(tmp_path / "a.npy", 1)
    (tmp_path / "b.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:70])
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 and no more")
    put(tmp_path / "d.npy", 2)
    with refused(DataFileError, "b.npy"):
        read(over(tmp_path))
    source = over(tmp_path, corrupt="skip")
    with pytest.warns(UserWarning, match=r"[bc]\.np. is skipped") as warned:
        assert read(source) == [1, 2]
    assert source.skipped == ["b.npy", "c.npz"]
    assert len(warned) == 2


def test_a_folder_may_come_later(tmp_path):
    blocks = iter(FolderSource(tmp_path / "later", poll=0.01))
    assert next(blocks) is None
    (tmp_path / "later").mkdir()
    put(tmp_path / "later" / "a.npy", 5)
    assert next(blocks) is None
    assert np.asarray(next(blocks)).shape == (2, 3)


def test_arguments_that_no_folder_can_have(tmp_path):
    with refused(ValueError, "order", "size"):
        FolderSource(tmp_path, order="size")
    with refused(ValueError, "corrupt"):
        FolderSource(tmp_path, corrupt="ignore")
    with refused(ValueError, "poll"):
        FolderSource(tmp_path, poll=0)
