"""Beliefs about the variables of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from pgmgraph.errors import MessageError, OutputError
from pgmgraph.messages import Message
from pgmgraph.variables import npz
from pgmgraph.variables.named import Named


class Beliefs(Named[Message]):
    """Beliefs by the name of the variable, such as `beliefs["vae.z"]`."""

    missing = "No belief about"

    def __getitem__(self, name: str) -> Message:
        """The belief; one that lies on another machine is brought here, once."""
        belief = super().__getitem__(name).fetched()
        self._values[name] = belief
        return belief

    @classmethod
    def concatenate(cls, blocks: Sequence[Self]) -> Self:
        """Beliefs about consecutive blocks of a plate as one."""
        if len(blocks) == 1:
            return blocks[0]
        return cls({name: type(one).concatenate([block[name] for block in blocks]) for name, one in blocks[0].items()})

    def save(self, path: str | Path) -> Path:
        """Write them to a file; see `save_beliefs`."""
        return save_beliefs([self], path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what was saved as `.npz`: the same messages, bit for bit, on the CPU.

        Raises:
            DataFileError: the file is missing, truncated, altered or none of ours.
        """
        return cls(npz.read(Path(path)))


def save_beliefs(blocks: Iterable[Beliefs], path: str | Path) -> Path:
    """Write beliefs, given block by block as `infer_blocks` does, to a file that appears whole or not at all.

    The ending of `path` chooses the format:

    - `.npz`: an array for each tensor, under names such as `vae.z.mean`, for numpy and for `Beliefs.load`. While it
      is written it takes twice the room on the disk.
    - `.parquet`: a row for each item and a column for each tensor, of lists or lists of lists, for data frames. Every
      variable has a column `missing` too. It needs pyarrow, and tells nothing apart that is shared by the whole plate.

    Args:
        blocks: beliefs about consecutive blocks of rows; only one of them is in memory at a time.
        path: of the file; missing folders are made.

    Returns:
        The path that was written.

    Raises:
        OutputError: the file cannot be written, the ending is unknown, or pyarrow is not installed.
        MessageError: the blocks do not fit together, or hold what the format cannot.
    """
    path = Path(path)
    if path.suffix == ".npz":
        npz.write(path, _at_least_one(blocks))
        return path
    if path.suffix != ".parquet":
        raise OutputError(f"Expected a file name that ends in .npz or .parquet; got {path}. Rename it.", path)
    try:
        from pgmgraph.variables.parquet import write
    except ModuleNotFoundError as error:
        raise OutputError(
            f"Expected pyarrow to be installed, to write {path}; it is not. Install it: "
            "pip install 'pgmgraph[parquet]', or write an .npz file.",
            path,
        ) from error
    write(path, _at_least_one(blocks))
    return path


def _at_least_one(blocks: Iterable[Beliefs]) -> Iterator[Beliefs]:
    empty = True
    for block in blocks:
        yield block
        empty = False
    if empty:
        raise MessageError("Expected at least one block of beliefs to save; got none.")
