"""A folder that is being filled, as a source."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pgmgraph.config.plain import Plain
from pgmgraph.datasets.content import unreadable
from pgmgraph.datasets.files import read_values
from pgmgraph.datasets.image_folder import SUFFIXES, read_image
from pgmgraph.datasets.npy import npz_names, read_npz
from pgmgraph.datasets.sparse_matrix import is_matrix
from pgmgraph.errors import DataFileError
from pgmgraph.streams.source import Block

Look = dict[str, tuple[int, int]]


class FolderSource:
    """The files of a folder, each read once, when it has been written to its end; others may come at any time.

    A file is read when its size and time are the same as a `poll` ago: whoever writes without a pause for that long is
    waited for. Best is to write under another name, hidden or of another ending, and rename. What was read is
    remembered by name, and a resumed stream reads the others. Files that change later are not read again.

    An image gives one row, (H, W) or (C, H, W); `.npz` rows by the names of its arrays, or those of a sparse matrix;
    `.npy`, IDX and tables, rows.

    Args:
        path: the folder; it may come later.
        pattern: of the names, such as `*.png`. Hidden files are passed over, sub-folders too.
        poll: every how many seconds it looks.
        until: the name of a file that is put there when nothing more comes, or a function that says so. What is
            there by then is read. By default it waits for ever.
        order: of files that are seen together, by "name" or by "time" of the last change.
        corrupt: whether to "refuse" a file that cannot be read, or to "skip" it with a warning.
        read: what makes a block of a path, in the place of the above.

    Attributes:
        skipped: the names of files that could not be read.

    Raises:
        DataFileError: while it is read: a file that cannot be, with corrupt="refuse".
    """

    def __init__(
        self,
        path: str | Path,
        pattern: str = "*",
        *,
        poll: float = 1.0,
        until: str | Callable[[], bool] | None = None,
        order: Literal["name", "time"] = "name",
        corrupt: Literal["refuse", "skip"] = "refuse",
        read: Callable[[Path], Block] | None = None,
    ) -> None:
        for name, choice, choices in (("order", order, ("name", "time")), ("corrupt", corrupt, ("refuse", "skip"))):
            if choice not in choices:
                raise ValueError(f"Expected {name} as one of {', '.join(choices)}; got {choice!r}.")
        if not poll > 0:
            raise ValueError(f"Expected a positive poll, in seconds; got {poll}.")
        self.path = Path(path)
        self.pattern = pattern
        self.poll = poll
        self.until = until
        self.order = order
        self.corrupt = corrupt
        self.skipped: list[str] = []
        self._read = read or read_block
        self._seen: set[str] = set()

    def __iter__(self) -> Iterator[Block]:
        before: Look = {}
        while True:
            over = self._over()
            now = self._look()
            settled = [name for name, state in now.items() if before.get(name) == state]
            for name in self._sorted(settled, now):
                self._seen.add(name)
                block = self._block(name)
                if block is not None:
                    yield block
            if over and len(settled) == len(now):
                return
            before = now
            yield None
            time.sleep(self.poll)

    def position(self) -> Plain:
        """The names that were read."""
        return [*sorted(self._seen)]

    def resume(self, position: Plain) -> None:
        """Pass over these names."""
        assert isinstance(position, list)
        self._seen |= {str(name) for name in position}

    def _over(self) -> bool:
        if isinstance(self.until, str):
            return (self.path / self.until).exists()
        return self.until is not None and self.until()

    def _look(self) -> Look:
        """Size and time of each file that was not read yet; one that goes away meanwhile is none."""
        found: Look = {}
        try:
            for file in self.path.glob(self.pattern):
                name = file.name
                if name in self._seen or name.startswith(".") or name == self.until or not file.is_file():
                    continue
                try:
                    state = file.stat()
                except FileNotFoundError:
                    continue
                found[name] = (state.st_size, state.st_mtime_ns)
        except OSError as error:
            raise unreadable(self.path, error) from error
        return found

    def _sorted(self, names: Sequence[str], look: Look) -> list[str]:
        return sorted(names, key=lambda name: (look[name][1] if self.order == "time" else 0, name))

    def _block(self, name: str) -> Block:
        try:
            return self._read(self.path / name)
        except DataFileError as error:
            if self.corrupt == "refuse":
                raise
            self.skipped.append(name)
            warnings.warn(f"{name} is skipped: {error}", stacklevel=3)
            return None


def read_block(path: Path) -> Block:
    """The rows of a file, as `FolderSource` says.

    Raises:
        DataFileError: it cannot be read.
    """
    if path.suffix.lower() in SUFFIXES:
        return read_image(path)
    names = npz_names(path) if path.suffix.lower() == ".npz" else []
    if names and not is_matrix(names):
        return {name: read_npz(path, name) for name in names}
    values = read_values(path)
    # A map would follow the file, which its writer may take away.
    return np.array(values) if isinstance(values, np.ndarray) else values
