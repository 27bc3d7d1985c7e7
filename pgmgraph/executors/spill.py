"""Spill: tensors that are too large for memory lie in files that have no name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pgmgraph.errors import OutputError


@dataclass(frozen=True)
class Spill:
    """From which size on messages lie on the disk, and where.

    A file never has a name, or loses it as it is opened: it goes when the last tensor that looks at it does, or when
    the process ends, however that ends. What is in it can be dropped from memory and read again.

    Attributes:
        above: the largest message that stays in memory, in bytes.
        folder: of the files; that for temporary files where it is None. It must lie on a disk: a file system in memory
            saves nothing.
    """

    above: int
    folder: Path | None = None

    def takes(self, tensors: Iterable[tuple[Sequence[int], torch.dtype]]) -> bool:
        """Whether tensors of these shapes and types are too large, together, to stay in memory."""
        return sum(math.prod(shape) * dtype.itemsize for shape, dtype in tensors) > self.above

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor on the disk, to be filled.

        Raises:
            OutputError: the disk has no room, or the folder cannot be written to.
        """
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return torch.empty(*shape, dtype=dtype)
        folder = self.folder or Path(tempfile.gettempdir())
        try:
            with tempfile.TemporaryFile(prefix="pgmgraph-", dir=folder) as file:
                # A full disk is an error here; without the reservation, writing to the map would kill the process.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                values = np.memmap(file, np.uint8, mode="r+", shape=(size,))
        except OSError as error:
            raise OutputError(
                f"Expected room for {size:,} bytes of messages in {folder}; got: {error.strerror or error}. Give a "
                "folder on a larger disk, or let more stay in memory, by spill_above.",
                folder,
            ) from error
        return torch.from_numpy(values).view(dtype).reshape(tuple(shape))
