"""A folder of images: pixels, colours first, and the sub-folders as labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pgmgraph.datasets import load_bundled_digits, read_labels, read_values
from pgmgraph.errors import DataFileError
from tests.datasets.files_made import BYTES, CODES, WORDS, image, write
from tests.refusals import refused

DIGITS = load_bundled_digits()


def test_digits_survive_with_their_labels(tmp_path: Path) -> None:
    pixels, labels = DIGITS.train_images[:40].reshape(40, 8, 8), DIGITS.train_labels[:40]
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        write(tmp_path, f"{label}/{number:02}.png", image(picture))
    order = np.lexsort((np.arange(40), labels))
    np.testing.assert_array_equal(read_values(tmp_path), pixels[order])
    np.testing.assert_array_equal(read_labels(tmp_path), labels[order])


def test_words_as_folders(tmp_path: Path) -> None:
    for number, word in enumerate(WORDS):
        write(tmp_path, f"{word}/deeper/{number}.png", image(BYTES[number]))
    assert read_labels(tmp_path).tolist() == sorted(CODES)


def test_colours_come_first(tmp_path: Path) -> None:
    colours = BYTES.reshape(2, 3, 8, 8)
    for number, picture in enumerate(colours):
        write(tmp_path, f"{number}.PNG", image(np.moveaxis(picture, 0, -1)))
    np.testing.assert_array_equal(read_values(tmp_path), colours)


def test_grey_of_16_bits_and_of_one(tmp_path: Path) -> None:
    deep = (BYTES[0].astype(np.uint16) * 257)[None]
    write(tmp_path, "deep/0.png", image(deep[0]))
    write(tmp_path, "flat/0.png", image(BYTES[0] > 127))
    np.testing.assert_array_equal(read_values(tmp_path / "deep"), deep)
    np.testing.assert_array_equal(read_values(tmp_path / "flat"), np.where(BYTES[:1] > 127, 255, 0))


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "1.png", image(BYTES[0]))
    for name in ("._1.png", ".cache/2.png", "readme.txt", "labels.csv"):
        write(tmp_path, name, b"other")
    np.testing.assert_array_equal(read_values(tmp_path), BYTES[:1])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with refused(DataFileError, str(tmp_path), "an empty one"):
        read_values(tmp_path)
    write(tmp_path, "readme.txt", b"other")
    with refused(DataFileError, "1 other files, such as readme.txt"):
        read_values(tmp_path)


def test_images_that_differ_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a.png", image(BYTES[0]))
    write(tmp_path, "b.png", image(BYTES[0][:5]))
    with refused(DataFileError, "8 x 8 uint8 in a.png", "5 x 8 uint8 in", "b.png"):
        read_values(tmp_path)
    write(tmp_path, "b.png", image(np.stack([BYTES[0]] * 3, axis=-1)))
    with refused(DataFileError, "b.png", "3 channels"):
        read_values(tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.png", b"<html>")
    with refused(DataFileError, "a.png", "Expected a whole image"):
        read_values(tmp_path)
    write(tmp_path, "a.png", image(BYTES[0])[:-30])
    with refused(DataFileError, "a.png", "Expected a whole image"):
        read_values(tmp_path)


def test_an_image_outside_the_sub_folders_has_no_label(tmp_path: Path) -> None:
    write(tmp_path, "ash/0.png", image(BYTES[0]))
    write(tmp_path, "1.png", image(BYTES[1]))
    with refused(DataFileError, "1.png", "sub-folder"):
        read_labels(tmp_path)
