"""Embeddings, in the files that TensorBoard's projector reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]  # has no types
from numpy.typing import NDArray
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig  # type: ignore[import-untyped]  # nor has it

from pgmgraph.atomic import whole_file, write_text
from pgmgraph.trackers.pictures import Pixels, tiled

# The browser takes no larger texture: the projector's own limit.
_LARGEST_SPRITE = 8192


def write_embedding(
    folder: Path,
    name: str,
    round: int,
    vectors: NDArray[Any],
    labels: NDArray[Any] | None = None,
    thumbnails: Pixels | None = None,
) -> None:
    """Write one embedding beside those that the folder has; the same name and round again takes the old one's place.

    Args:
        folder: where the event files are.
        name: of the variable.
        round: that it is from.
        vectors: (N, D).
        labels: (N,), shown as text.
        thumbnails: (N, H, W) bytes; left out where they are too large for the projector.

    Raises:
        OutputError: a file cannot be written.
    """
    place = Path("projector") / f"{name}-{round:05d}"
    with whole_file(folder / place / "vectors.tsv") as file:
        np.savetxt(file, vectors, fmt="%.7g", delimiter="\t")
    config_file = folder / "projector_config.pbtxt"
    config = ProjectorConfig()
    if config_file.exists():
        text_format.Parse(config_file.read_text(encoding="utf-8"), config)
    others = [info for info in config.embeddings if info.tensor_path != str(place / "vectors.tsv")]
    del config.embeddings[:]
    config.embeddings.extend(others)
    info = config.embeddings.add(tensor_name=f"{name} {round:05d}", tensor_path=str(place / "vectors.tsv"))
    if labels is not None:
        # A label with a tab or a line's end in it would be two.
        write_text(folder / place / "labels.tsv", "".join(f"{' '.join(str(label).split())}\n" for label in labels))
        info.metadata_path = str(place / "labels.tsv")
    if thumbnails is not None and _write_sprite(folder / place / "thumbnails.png", thumbnails):
        info.sprite.image_path = str(place / "thumbnails.png")
        _, height, width = thumbnails.shape
        info.sprite.single_image_dim.extend([width, height])
    write_text(config_file, text_format.MessageToString(config))


def _write_sprite(path: Path, thumbnails: Pixels) -> bool:
    """All thumbnails in as many rows as columns, which the projector cuts up again; False where they are too large."""
    n, height, width = thumbnails.shape
    side = math.ceil(math.sqrt(n))
    if side * max(height, width) > _LARGEST_SPRITE:
        return False
    square = np.zeros((side * side, height, width), np.uint8)
    square[:n] = thumbnails
    with whole_file(path) as file:
        Image.fromarray(tiled(square, side, gap=0)).save(file)
    return True
