"""Event files are read back by TensorBoard itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from pgmgraph.trackers.event_file import EventFile


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_numbers_come_back_as_float32(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "a" / "b", first_step=0)
    values = [0.1, -1e5 / 3, np.inf, 7]
    for step, value in enumerate(values):
        file.numbers({"F": value, "vae/loss": -value}, step)
    board = read(tmp_path / "a" / "b")
    assert board.Tags()["scalars"] == ["F", "vae/loss"]
    assert [(event.step, event.value) for event in board.Scalars("F")] == list(enumerate(map(np.float32, values)))
    assert [event.value for event in board.Scalars("vae/loss")] == [-np.float32(value) for value in values]


def test_nan_stays_nan(tmp_path: Path) -> None:
    EventFile(tmp_path, 0).numbers({"F": np.nan}, 0)
    assert np.isnan(read(tmp_path).Scalars("F")[0].value)


def test_a_picture_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    EventFile(tmp_path, 0).picture("gmm.c/pixels", pixels, 3)
    [image] = read(tmp_path).Images("gmm.c/pixels")
    assert (image.step, image.height, image.width) == (3, 5, 7)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), pixels)


def test_a_later_file_voids_what_it_takes_over(tmp_path: Path) -> None:
    first = EventFile(tmp_path, first_step=0)
    for step in range(6):
        first.numbers({"F": float(step)}, step)
    second = EventFile(tmp_path, first_step=4)
    for step in (4, 5, 6):
        second.numbers({"F": 10.0 + step}, step)
    expected = [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 14.0), (5, 15.0), (6, 16.0)]
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("F")] == expected


def test_a_file_that_was_removed_is_an_error(tmp_path: Path) -> None:
    file = EventFile(tmp_path, first_step=0)
    for written in tmp_path.iterdir():
        written.unlink()
    with pytest.raises(FileNotFoundError):
        file.numbers({"F": 1.0}, 0)
