"""A picture is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pgmgraph.errors import OutputError
from pgmgraph.plotting import save
from pgmgraph.plotting.style import DPI, new_figure


def test_the_picture_has_the_figures_size_and_its_folder_is_made(tmp_path: Path) -> None:
    path = save(new_figure(4, 2, "title"), str(tmp_path / "new" / "picture.png"))
    with Image.open(path) as image:
        assert image.size == (4 * DPI, 2 * DPI)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("ending", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_the_ending_chooses_the_format(tmp_path: Path, ending: str, magic: bytes) -> None:
    assert save(new_figure(1, 1), tmp_path / f"picture.{ending}").read_bytes().startswith(magic)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "picture.png"
    with pytest.raises(OutputError, match="name, or its folder's, is taken") as caught:
        save(new_figure(1, 1), path)
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["picture", "picture.doc"])
def test_an_unknown_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"ends in one of .*png"):
        save(new_figure(1, 1), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_older_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(new_figure(1, 1), tmp_path / "picture.png")
    before = path.read_bytes()
    figure = new_figure(2, 2)

    def full_disk(target: Path, format: str) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
