"""Images as counts of visual words."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pgmgraph_modules.fronts.codebook import Array, Codebook, Counts


class VisualWords(Codebook):
    """Images as bags of visual words (Csurka et al., 2004).

    An image is described at the points of a grid by DAISY descriptors (Tola et al., 2010), histograms of gradients over
    patches, which scikit-image computes. Each is rounded to the nearest of `words` centres, and words are counted:
    V = words. Where a word stands in the image is lost. A patch without any gradient is a word as well.

    `fit` and `transform` take a list of images, of any sizes, or an array: grey (H, W), or in colour (H, W, 3) or
    (3, H, W), which is turned to grey. An image has a word for each point of the grid, every `step` pixels, that is
    `radius` pixels or more from its edges. Their brightness and contrast count for nothing.

    Args:
        words: the size of the codebook.
        step: pixels between the points of the grid.
        radius: of a patch, in pixels.
        rings: of histograms around the middle of a patch.
        histograms: on each ring.
        orientations: of gradients, the columns of a histogram.
        image_shape: of the images, where they come as flat rows, as in `SklearnTransform`.
        random_state: of k-means.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
    """

    def __init__(
        self,
        words: int = 64,
        *,
        step: int = 4,
        radius: int = 7,
        rings: int = 2,
        histograms: int = 6,
        orientations: int = 8,
        image_shape: tuple[int, ...] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.words = words
        self.step = step
        self.radius = radius
        self.rings = rings
        self.histograms = histograms
        self.orientations = orientations
        self.image_shape = image_shape
        self.random_state = random_state

    @property
    def columns(self) -> int:
        """V, how many counts each image has."""
        return self.words

    def descriptors(self, item: Array, number: int) -> Array:
        """One for each point of the grid, (T, (rings x histograms + 1) x orientations)."""
        least = {name: getattr(self, name) for name in ("step", "radius", "rings", "histograms", "orientations")}
        for name, value in least.items():
            if value < 1:
                raise ValueError(f"Expected {name} of at least 1; got {value}.")
        grey = self._grey(item, number)
        if min(grey.shape) <= 2 * self.radius:
            raise ValueError(
                f"Expected images of more than {2 * self.radius} pixels to a side, for patches of radius "
                f"{self.radius}; got {grey.shape[0]} x {grey.shape[1]} in item {number}. Ask for a smaller radius."
            )
        found: Array = _features().daisy(
            grey,
            step=self.step,
            radius=self.radius,
            rings=self.rings,
            histograms=self.histograms,
            orientations=self.orientations,
        )
        return found.reshape(-1, found.shape[-1])

    def counted(self, codes: NDArray[np.intp]) -> Counts:
        """The counts of words, (V,)."""
        return np.bincount(codes, minlength=self.words).astype(np.int32)

    def _grey(self, item: Array, number: int) -> Array:
        if self.image_shape is not None and item.size == np.prod(self.image_shape):
            item = item.reshape(self.image_shape)
        if item.ndim == 3 and item.shape[-1] != 3 and item.shape[0] in (1, 3):
            item = np.moveaxis(item, 0, -1)
        if item.ndim == 3 and item.shape[-1] in (1, 3):
            # The luminance of ITU-R BT.709, as scikit-image takes it.
            item = item[..., 0] if item.shape[-1] == 1 else item @ np.array([0.2125, 0.7154, 0.0721])
        if item.ndim != 2:
            raise ValueError(
                f"Expected an image (H, W), (H, W, 3) or (3, H, W) as item {number}; got shape {item.shape}. "
                "Of flat rows, state image_shape."
            )
        return item.astype(np.float64)


def _features() -> ModuleType:
    # Not at the top: it is an extra.
    try:
        from skimage import feature
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'VisualWords needs scikit-image, which is not installed. Install it: pip install "pgmgraph[vision]".'
        ) from error
    found: ModuleType = feature
    return found
