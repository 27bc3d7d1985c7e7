"""Writing a picture to disk, whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from pgmgraph.errors import OutputError


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the ending of `path` chooses the format (png, pdf, svg ...), missing folders are made.

    The file appears at once and whole: a reader never sees half a picture, and a failure leaves an older one in place.

    Returns:
        The path that was written.

    Raises:
        OutputError: the folder cannot be made or written, or the format is unknown.
    """
    path = Path(path)
    image_format = path.suffix.removeprefix(".").lower()
    formats = figure.canvas.get_supported_filetypes()
    if image_format not in formats:
        raise OutputError(
            f"Expected a picture's file name that ends in one of {', '.join(sorted(formats))}; got {path}. Rename it.",
            path,
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the rename stays on one file system and is atomic.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            figure.savefig(temporary, format=image_format)
            temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"Expected to write a picture to {path}; got: {error.strerror or error}. "
            f"Check that its folder exists and can be written.",
            path,
        ) from error
    return path
