"""A folder of images of one size; where sub-folders sort them, the sub-folder is an image's label."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pgmgraph.datasets.arrays import room
from pgmgraph.datasets.content import unreadable
from pgmgraph.errors import DataFileError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# What an image's pixels are read as, by its mode in Pillow. A palette's numbers are no intensities.
READ_AS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA", "I;16": "I;16"}


def read_images(folder: Path) -> npt.NDArray[np.generic]:
    """All images under a folder, in the order of their paths; hidden files and other kinds are passed over.

    Returns:
        (N, H, W) for grey images, (N, C, H, W) for images in colour: channels first, as convolutions want them. uint8,
        or uint16 for grey of 16 bits.

    Raises:
        DataFileError: no image, a file that is none although it is named like one, or images that differ in size or
            kind.
    """
    paths = image_paths(folder)
    first = _pixels(paths[0])
    values = room((len(paths), *first.shape), first.dtype, folder)
    for row, path in enumerate(paths):
        pixels = _pixels(path)
        if (pixels.shape, pixels.dtype) != (first.shape, first.dtype):
            raise DataFileError(
                f"Expected all images in {folder} to be alike; got {_kind(first)} in {paths[0].name} and "
                f"{_kind(pixels)} in {path}. Resize or convert them to one kind.",
                path,
            )
        values[row] = pixels
    return values


def read_folder_names(folder: Path) -> list[str]:
    """For every image, in the order of `read_images`, the sub-folder of `folder` that it lies in.

    Raises:
        DataFileError: no image, or one that lies in no sub-folder.
    """
    names = []
    for path in image_paths(folder):
        parts = path.relative_to(folder).parts
        if len(parts) < 2:
            raise DataFileError(
                f"Expected every image in {folder} in a sub-folder that is named for its label; got {path.name} in "
                f"the folder itself. Sort the images into sub-folders, or give the labels in a file.",
                path,
            )
        names.append(parts[0])
    return names


def image_paths(folder: Path) -> list[Path]:
    """The images under a folder, sorted by the parts of their paths.

    Raises:
        DataFileError: there is none, or the folder or one below it is unreadable.
    """
    images, others = _listed(folder)
    if not images:
        seen = f"{len(others)} other files, such as {min(others).name}" if others else "an empty one"
        raise DataFileError(
            f"Expected a folder of images ({', '.join(sorted(SUFFIXES))}) at {folder}; got {seen}. Check the path.",
            folder,
        )
    return sorted(images, key=lambda path: path.parts)


def has_images(folder: Path) -> bool:
    """Whether there is an image under a folder.

    Raises:
        DataFileError: the folder or one below it is unreadable.
    """
    return bool(_listed(folder)[0])


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images under a folder, and what else is there."""
    files: list[Path] = []
    try:
        for place, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files += [Path(place, name) for name in names if not name.startswith(".")]
    except OSError as error:
        raise unreadable(folder, error) from error
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    return images, [file for file in files if file.suffix.lower() not in SUFFIXES]


def _raise(error: OSError) -> None:
    raise error


def read_image(path: Path) -> npt.NDArray[np.generic]:
    """One image: (H, W), or (C, H, W) in colour, uint8, or uint16 for grey of 16 bits.

    Raises:
        DataFileError: it is none, or a corrupt one.
    """
    return _pixels(path)


def _pixels(path: Path) -> npt.NDArray[np.generic]:
    """(H, W), or (C, H, W)."""
    # matplotlib brings Pillow; nothing else here needs it.
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Of metadata that are not used here.
            warnings.filterwarnings("ignore", module="PIL")
            with Image.open(path, formats=FORMATS) as image:
                image.verify()
            with Image.open(path, formats=FORMATS) as image:
                _check(image, path)
                pixels: npt.NDArray[np.generic] = np.asarray(image.convert(READ_AS[image.mode]))
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
    ) as error:
        raise _no_image(path, error) from error
    except OSError as error:
        raise (unreadable(path, error) if error.errno else _no_image(path, error)) from error
    return np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels


def _check(image: Image.Image, path: Path) -> None:
    if image.mode not in READ_AS:
        raise DataFileError(
            f"Expected an image of the mode {', '.join(READ_AS)} in {path}; got {image.mode}. "
            f"Convert it to grey or RGB.",
            path,
        )
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise DataFileError(f"Expected one image in {path}; got {frames}. Store each in a file of its own.", path)


def _no_image(path: Path, error: Exception) -> DataFileError:
    return DataFileError(
        f"Expected a whole image ({', '.join(FORMATS)}) in {path}; got what is none, or a corrupt one ({error}). "
        f"Fetch it again, or take it out of the folder.",
        path,
    )


def _kind(pixels: npt.NDArray[np.generic]) -> str:
    *channels, height, width = pixels.shape
    colours = f" in {channels[0]} channels" if channels else ""
    return f"{height} x {width} {pixels.dtype}{colours}"
