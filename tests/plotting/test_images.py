"""Each image stands in its cell, pixel for pixel, and white lies between."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image

from pgmgraph.errors import DataError
from pgmgraph.plotting import image_grid, reconstruction_figure

RANDOM = np.random.default_rng(0)


def canvas(figure: Figure) -> npt.NDArray[np.float64]:
    """The drawn array, NaN where the background shows."""
    array = figure.axes[0].images[0].get_array()
    assert array is not None
    return np.ma.filled(array.astype(np.float64), np.nan)


def test_images_stand_in_their_cells() -> None:
    images = RANDOM.random((2, 3, 20))
    for given in (images, torch.tensor(images).reshape(2, 3, 5, 4)):
        drawn = canvas(image_grid(given, (5, 4)))
        assert drawn.shape == (2 * 5 + 1, 3 * 4 + 2)
        np.testing.assert_array_equal(drawn[6:11, 10:14], images[1, 2].reshape(5, 4))
        assert np.isnan(drawn[5]).all()
        assert np.isnan(drawn[:, 4]).all()


def test_black_and_white_do_not_depend_on_the_images() -> None:
    np.testing.assert_allclose(canvas(image_grid(np.full((1, 1, 4), 51, dtype=np.uint8), (2, 2))), 0.2)
    np.testing.assert_allclose(canvas(image_grid(np.full((1, 1, 4), 0.2), (2, 2))), 0.2)
    np.testing.assert_allclose(canvas(image_grid(np.full((1, 1, 4), 1.7), (2, 2))), 1.0)
    np.testing.assert_allclose(canvas(image_grid(np.full((1, 1, 4), 0.0), (2, 2), value_range=(-1, 1))), 0.5)


def test_rows_are_labelled_at_their_middle() -> None:
    figure = image_grid(
        np.zeros((2, 1, 9)),
        (3, 3),
        ["component 0", "component 1"],
        "Components",
        row_notes=["weight 0.4", "weight 0.6"],
    )
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["component 0", "weight 0.4", "component 1", "weight 0.6"]
    assert [text.xy[1] for text in texts if isinstance(text, Annotation)] == [1, 1, 5, 5]
    figure.canvas.draw()
    assert all(text.get_window_extent().x0 >= 0 for text in texts)
    assert figure.texts[0].get_text() == "Components"


def test_every_image_pixel_is_a_square_of_equal_size() -> None:
    buffer = io.BytesIO()
    pattern = np.indices((5, 5)).sum(axis=0) % 2
    image_grid(pattern.reshape(1, 1, 25).astype(float), (5, 5)).savefig(buffer, format="png")
    with Image.open(buffer) as image:
        pixels = np.asarray(image.convert("L"))
    black_rows = np.flatnonzero((pixels == 0).any(axis=1))
    size = (black_rows[-1] + 1 - black_rows[0]) / 5
    assert size == int(size)
    assert (pixels == 0).sum() == 13 * size**2


def test_reconstructions_stand_under_their_originals() -> None:
    originals = RANDOM.integers(0, 256, (14, 4), dtype=np.uint8)
    drawn = canvas(reconstruction_figure(originals, originals / 255 / 2, (2, 2), "Pairs"))
    above, below = drawn[0:2, 3:5], drawn[3:5, 3:5]
    np.testing.assert_allclose(above, originals[1].reshape(2, 2) / 255)
    np.testing.assert_allclose(below, above / 2)
    # Twelve pairs a row, so that the 14th is the second of the second block.
    np.testing.assert_allclose(drawn[9:11, 3:5], originals[13].reshape(2, 2) / 255)
    assert np.isnan(drawn[9:, 6:]).all()


def test_reconstruction_rows_are_labelled() -> None:
    figure = reconstruction_figure(np.zeros((2, 4)), np.zeros((2, 2, 2)), (2, 2))
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert [label for label in labels if label] == ["original", "reconstruction"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(rows, columns, 9\), \(rows, columns, 3, 3\) or .*; got \(2, 2, 8\)"):
        image_grid(np.zeros((2, 2, 8)), (3, 3))
    with pytest.raises(DataError, match="Expected 2 row_labels, one a row; got 1"):
        image_grid(np.zeros((2, 2, 9)), (3, 3), ["only one"])
    with pytest.raises(DataError, match="Expected 2 row_notes"):
        image_grid(np.zeros((2, 2, 9)), (3, 3), row_notes=[])
    with pytest.raises(DataError, match="ascends"):
        image_grid(np.zeros((2, 2, 9)), (3, 3), value_range=(1, 1))
    with pytest.raises(DataError, match=r"Expected reconstructions of shape \(3, 4\)"):
        reconstruction_figure(np.zeros((3, 4)), np.zeros((2, 4)), (2, 2))
    with pytest.raises(DataError, match="Expected originals"):
        reconstruction_figure(np.zeros((0, 4)), np.zeros((0, 4)), (2, 2))


def test_colours_are_drawn_as_they_are_on_white() -> None:
    images = RANDOM.random((2, 3, 8, 9, 3))
    axes = image_grid(images, (8, 9)).axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(drawn[:8, :9], images[0, 0])
    np.testing.assert_array_equal(drawn[-8:, -9:], images[1, 2])
    assert (drawn[:, 9] == 1).all()
    with pytest.raises(DataError, match="8, 9, 3"):
        image_grid(images[..., :2], (8, 9))
