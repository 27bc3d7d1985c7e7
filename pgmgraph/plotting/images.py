"""Grids of images: what components look like, and how well data are reconstructed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pgmgraph.errors import DataError
from pgmgraph.plotting.arrays import Values, as_array
from pgmgraph.plotting.style import DPI, FAINT_INK, INK, SMALL_SIZE, TEXT_SIZE, new_figure, place, plain

TARGET_PIXELS = 1200
LARGEST_SCALE = 16
MARGIN_INCHES = 0.12
TITLE_INCHES = 0.42
PAIRS_A_ROW = 12


def image_grid(
    images: Values,
    image_shape: tuple[int, int],
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    *,
    row_notes: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """A grid of images, R rows of C; NaN pixels are left white.

    Args:
        images: (R, C, pixels) or (R, C, H, W), grey; or (R, C, H, W, 3), red, green and blue.
        image_shape: height and width of an image in pixels.
        row_labels: R texts that stand before the rows, e.g. "component 3".
        title: of the whole picture.
        row_notes: R texts in small print under the labels, e.g. "weight 0.12".
        value_range: the values that black and white stand for; beyond them the grey is clipped. By default 0 and 255
            for integers, 0 and 1 for floats.

    Raises:
        DataError: the shapes do not fit, or there is not one label a row.
    """
    grid = _brightness(images, value_range)
    height, width = image_shape
    one = (height, width, 3) if grid.ndim == 5 else (height, width)
    if grid.ndim not in (3, 4, 5) or grid.size == 0 or grid.shape[2:] not in ((height * width,), one):
        raise DataError(
            f"Expected images of shape (rows, columns, {height * width}), (rows, columns, {height}, {width}) or "
            f"(rows, columns, {height}, {width}, 3); got {grid.shape}. Check image_shape."
        )
    rows, columns = grid.shape[:2]
    _check_texts("row_labels", row_labels, rows)
    _check_texts("row_notes", row_notes, rows)
    tops = [row * (height + _gap(height)) for row in range(rows)]
    return _draw(grid.reshape(rows, columns, *one), tops, row_labels, row_notes, title)


def reconstruction_figure(
    originals: Values,
    reconstructions: Values,
    image_shape: tuple[int, int],
    title: str | None = None,
    *,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Images above what a model makes of them, twelve pairs side by side, then twelve more below.

    Args:
        originals: (N, pixels) or (N, H, W).
        reconstructions: the same N images; integers or floats independently of the originals.
        image_shape: height and width of an image in pixels.
        title: of the whole picture.
        value_range: as for `image_grid`.

    Raises:
        DataError: the shapes do not fit.
    """
    height, width = image_shape
    above, below = _brightness(originals, value_range), _brightness(reconstructions, value_range)
    for name, images in (("originals", above), ("reconstructions", below)):
        fits = images.ndim in (2, 3) and images.shape[1:] in ((height * width,), (height, width))
        if not fits or len(images) != len(above) or len(images) == 0:
            raise DataError(
                f"Expected {name} of shape ({len(above) or 'N'}, {height * width}) or ({len(above) or 'N'}, {height}, "
                f"{width}), at least one; got {images.shape}. Check image_shape."
            )
    columns = min(len(above), PAIRS_A_ROW)
    blocks = -(-len(above) // columns)
    grid = np.full((blocks, 2, columns, height, width), np.nan)
    for index, pair in enumerate(zip(above, below, strict=True)):
        block, column = divmod(index, columns)
        for line, image in enumerate(pair):
            grid[block, line, column] = image.reshape(height, width)
    step = 2 * (height + _gap(height)) + 3 * _gap(height)
    tops = [block * step + line * (height + _gap(height)) for block in range(blocks) for line in (0, 1)]
    labels = ["original", "reconstruction"] * blocks
    return _draw(grid.reshape(2 * blocks, columns, height, width), tops, labels, None, title)


def _brightness(images: Values, value_range: tuple[float, float] | None) -> npt.NDArray[np.float64]:
    """The images, or their colours, with 0 for none and 1 for full brightness."""
    array = as_array(images)
    low, high = value_range or ((0, 255) if np.issubdtype(array.dtype, np.integer) else (0, 1))
    if not low < high:
        raise DataError(f"Expected a value_range (black, white) that ascends; got {value_range}. Swap its ends.")
    return np.clip((array.astype(np.float64) - low) / (high - low), 0, 1)


def _check_texts(name: str, texts: Sequence[str] | None, rows: int) -> None:
    if texts is not None and len(texts) != rows:
        raise DataError(f"Expected {rows} {name}, one a row; got {len(texts)}. Pass one text for each row of images.")


def _gap(height: int) -> int:
    """Pixels between images: a fourteenth of their height, at least one."""
    return max(1, round(height / 14))


def _canvas(grid: npt.NDArray[np.float64], tops: Sequence[int]) -> npt.NDArray[np.float64]:
    """All images (rows, columns, H, W[, 3]) in one array, NaN between them; `tops` are the rows' upper edges."""
    _, columns, height, width, *colours = grid.shape
    step = width + _gap(height)
    canvas = np.full((tops[-1] + height, columns * step - _gap(height), *colours), np.nan)
    for top, images in zip(tops, grid, strict=True):
        for column, image in enumerate(images):
            canvas[top : top + height, column * step : column * step + width] = image
    return canvas


def _draw(
    grid: npt.NDArray[np.float64],
    tops: Sequence[int],
    labels: Sequence[str] | None,
    notes: Sequence[str] | None,
    title: str | None,
) -> Figure:
    canvas = _canvas(grid, tops)
    # A whole number of device pixels for each image pixel: all of them come out equally large, without blur.
    scale = min(max(1, TARGET_PIXELS // canvas.shape[1]), max(1, TARGET_PIXELS // canvas.shape[0]), LARGEST_SCALE)
    canvas_height, canvas_width = (size * scale / DPI for size in canvas.shape[:2])
    texts = [*(labels or []), *(notes or [])]
    left = MARGIN_INCHES + (0.1 + 0.078 * max(map(len, texts)) if texts else 0.0)
    needed = 0.085 * len(title) * 1.25 if title else 0.0
    width = max(left + canvas_width, needed) + MARGIN_INCHES
    height = (TITLE_INCHES if title else MARGIN_INCHES) + canvas_height + MARGIN_INCHES
    figure = new_figure(width, height, title)
    axes = place(figure, left, MARGIN_INCHES, canvas_width, canvas_height)
    # matplotlib leaves out what is NaN in a grey picture, and in a coloured one draws it as it likes.
    shown = canvas if canvas.ndim == 2 else np.nan_to_num(canvas, nan=1.0)
    axes.imshow(shown, cmap="gray", norm=Normalize(0, 1), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for row, top in enumerate(tops):
        middle = top + (grid.shape[2] - 1) / 2
        offset = 0.5 if notes else 0.0
        for text, size, colour, shift in (
            (labels[row] if labels else "", TEXT_SIZE, INK, offset),
            (notes[row] if notes else "", SMALL_SIZE, FAINT_INK, -offset),
        ):
            axes.annotate(
                plain(text), (-0.5, middle), xytext=(-6, 13 * shift), textcoords="offset points", ha="right",
                va="center", size=size, color=colour,
            )  # fmt: skip
    return figure
