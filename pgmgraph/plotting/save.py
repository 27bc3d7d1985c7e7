"""Writing a picture to disk, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from pgmgraph.atomic import whole_file
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
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=image_format)
    return path
