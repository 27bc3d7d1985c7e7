"""The projector's files are read back as its plugin reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig  # type: ignore[import-untyped]

from pgmgraph.trackers.pictures import tiled
from pgmgraph.trackers.projector import write_embedding

VECTORS = np.random.default_rng(0).normal(size=(5, 3))


def config(folder: Path) -> ProjectorConfig:
    return text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())


def test_vectors_labels_and_thumbnails(tmp_path: Path) -> None:
    thumbnails = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
    write_embedding(tmp_path, "vae.z", 7, VECTORS, np.array(["a", "b\tc", "d\ne", "", "f"]), thumbnails)
    [info] = config(tmp_path).embeddings
    assert info.tensor_name == "vae.z 00007"
    np.testing.assert_allclose(np.loadtxt(tmp_path / info.tensor_path, delimiter="\t"), VECTORS, rtol=1e-6)
    assert (tmp_path / info.metadata_path).read_text() == "a\nb c\nd e\n\nf\n"
    assert list(info.sprite.single_image_dim) == [3, 2], "width, then height"
    sprite = np.asarray(Image.open(tmp_path / info.sprite.image_path))
    assert np.array_equal(sprite[:4], tiled(thumbnails, 3, gap=0))
    assert sprite.shape == (6, 9)
    assert not sprite[4:].any(), "as many rows as columns, the last one empty"


def test_rounds_stand_beside_one_another_and_the_same_once(tmp_path: Path) -> None:
    for round in (0, 10, 10):
        write_embedding(tmp_path, "vae.z", round, VECTORS + round)
    infos = config(tmp_path).embeddings
    assert [info.tensor_name for info in infos] == ["vae.z 00000", "vae.z 00010"]
    for info, shift in zip(infos, (0, 10), strict=True):
        np.testing.assert_allclose(np.loadtxt(tmp_path / info.tensor_path), VECTORS + shift, rtol=1e-6)
        assert not info.metadata_path
        assert not info.HasField("sprite")


def test_thumbnails_beyond_the_projectors_texture_are_left_out(tmp_path: Path) -> None:
    write_embedding(tmp_path, "vae.z", 0, VECTORS, thumbnails=np.zeros((5, 3000, 1), np.uint8))
    assert not config(tmp_path).embeddings[0].HasField("sprite")
