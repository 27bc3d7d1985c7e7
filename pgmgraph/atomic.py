"""Files and folders that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgmgraph.errors import OutputError

_PREFIX = ".tmp-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write a file to; when the block ends without an error it is on disk, in the place of `path`.

    Missing folders are made. An older file stays in place until then, and for good where the block fails.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the rename stays on one file system; a folder, so that the name keeps its ending.
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=path.parent, ignore_cleanup_errors=True) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            settle(temporary)
            temporary.replace(path)
        settle(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to write into; when the block ends without an error it is on disk, under the name `path`.

    Raises:
        OutputError: it cannot be written, or there is something called `path` already.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
        try:
            yield temporary
            for file in temporary.iterdir():
                settle(file)
            settle(temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        settle(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; see `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_over(path: Path, text: str) -> None:
    """Write a text into a file that is there, without asking the disk for more room as long as it fits its blocks.

    For the last word on a full disk: in one piece, and blanks up to the old length, but not whole or not at all.

    Raises:
        OutputError: there is no such file, or it cannot be written.
    """
    content = text.encode("utf-8")
    with _explained(path), path.open("r+b", buffering=0) as file:
        file.write(content.ljust(path.stat().st_size))
        os.fsync(file.fileno())


def remove_folder(path: Path) -> None:
    """Remove a folder; nobody ever sees half of it.

    Raises:
        OutputError: it cannot be removed.
    """
    with _explained(path):
        doomed = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
        path.rename(doomed / path.name)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """What to say where the operating system refuses to write."""
    advice = {
        errno.ENOSPC: "Make room on that disk.",
        errno.EDQUOT: "Make room in your quota.",
        errno.EFBIG: "Files may not be that large here: raise the limit, ulimit -f unlimited.",
        errno.EMFILE: "Too many files are open in this process: raise the limit, ulimit -n 4096.",
        errno.EACCES: "Choose a folder that you may write to.",
        errno.EROFS: "Choose a folder on a disk that can be written.",
        errno.ENOTDIR: "Its folder is a file: choose another.",
        errno.EEXIST: "Its name, or its folder's, is taken: choose another.",
        errno.ENOTEMPTY: "Its name is taken: choose another.",
    }.get(error.errno or 0, "Check that its folder exists and can be written.")
    return OutputError(f"Expected to write {path}; got: {error.strerror or error}. {advice}", path)


def settle(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OutputError: they do not come there.
    """
    with _explained(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
