"""Files and folders appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from pgmgraph.atomic import remove_folder, sweep, whole_file, whole_folder, write_over, write_text
from pgmgraph.errors import OutputError
from tests.refusals import refused


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "text"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert names_in(path.parent) == ["text"]


def test_a_failure_leaves_the_older_file(tmp_path):
    path = tmp_path / "text"
    write_text(path, "one")
    with pytest.raises(KeyError), whole_file(path) as temporary:  # noqa: PT012  # the block is what is tested
        temporary.write_text("half")
        assert path.read_text() == "one"
        raise KeyError
    assert path.read_text() == "one"
    assert names_in(tmp_path) == ["text"]


def test_a_folder_appears_when_all_of_it_is_there(tmp_path):
    path = tmp_path / "folder"
    with whole_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists()
    assert (path / "a").read_text() == "a"
    with pytest.raises(KeyError), whole_folder(tmp_path / "other") as temporary:  # noqa: PT012  # likewise
        (temporary / "a").write_text("a")
        raise KeyError
    assert names_in(tmp_path) == ["folder"]


def test_a_folder_that_is_there_is_never_touched(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    with refused(OutputError, str(tmp_path / "folder"), "taken"), whole_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "folder" / "a").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "Make room"), (errno.EMFILE, "ulimit"), (errno.EROFS, "can be written")]
)
def test_what_the_system_refuses_is_told_with_a_way_out(tmp_path, number, advice):
    with refused(OutputError, "text", os.strerror(number), advice) as caught, whole_file(tmp_path / "text"):
        raise OSError(number, os.strerror(number))
    assert caught.value.path == tmp_path / "text"


def test_leftovers_of_a_killed_process_are_swept(tmp_path):
    write_text(tmp_path / "kept", "kept")
    (tmp_path / ".tmp-abc").mkdir()
    (tmp_path / ".tmp-abc" / "half").write_text("half")
    sweep(tmp_path)
    assert names_in(tmp_path) == ["kept"]
    sweep(Path(tmp_path / "not there"))


def test_a_folder_is_removed_whole(tmp_path):
    write_text(tmp_path / "folder" / "text", "text")
    remove_folder(tmp_path / "folder")
    assert names_in(tmp_path) == []
    with refused(OutputError, str(tmp_path / "folder"), "No such file"):
        remove_folder(tmp_path / "folder")


def test_a_text_is_written_over_in_its_place_and_nothing_is_left_of_the_older_one(tmp_path):
    path = tmp_path / "status"
    write_text(path, "a long text")
    place = path.stat().st_ino
    write_over(path, "short")
    assert (path.read_text().strip(), path.stat().st_ino) == ("short", place)
    write_over(path, "a text that is longer")
    assert (path.read_text(), path.stat().st_ino) == ("a text that is longer", place)
    with refused(OutputError, str(tmp_path / "none"), "No such file"):
        write_over(tmp_path / "none", "text")
