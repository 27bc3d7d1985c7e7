"""Grey pictures out of rows of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pgmgraph.errors import DataError
from pgmgraph.observation import Values

Pixels = NDArray[np.uint8]


def as_grey(images: Values, image_shape: tuple[int, int] | None) -> Pixels:
    """Images as bytes, (N, H, W).

    Args:
        images: (N, H, W), or (N, pixels) with `image_shape`; integers from 0 to 255, or floats from 0 to 1. What lies
            beyond is clipped.
        image_shape: height and width.

    Raises:
        DataError: the shapes do not fit.
    """
    array: NDArray[Any] = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
    if array.ndim == 2 and image_shape and array.shape[1] == math.prod(image_shape):
        array = array.reshape(len(array), *image_shape)
    if array.ndim != 3 or (image_shape and array.shape[1:] != image_shape):
        wanted = "(N, H, W)" if image_shape is None else f"(N, {math.prod(image_shape)}) or (N, {image_shape})"
        raise DataError(f"Expected images of shape {wanted}; got {array.shape}. Give image_shape=(height, width).")
    bytes_already = array.dtype.kind in "biu"
    levels = array if bytes_already else np.rint(np.nan_to_num(array) * 255.0)
    grey: Pixels = np.clip(levels, 0, 255).astype(np.uint8)
    return grey


def tiled(images: Pixels, columns: int, gap: int = 1) -> Pixels:
    """(N, H, W) images in rows of `columns`, as one picture; gaps and what is left of the last row are black."""
    rows = -(-len(images) // columns)
    _, height, width = images.shape
    cells = np.zeros((rows * columns, height + gap, width + gap), np.uint8)
    cells[: len(images), :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap).transpose(0, 2, 1, 3)
    whole = grid.reshape(rows * (height + gap), columns * (width + gap))
    return whole[: whole.shape[0] - gap, : whole.shape[1] - gap]
