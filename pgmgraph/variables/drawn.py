"""Values that were drawn for the variables of a graph."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from pgmgraph.errors import OutputError
from pgmgraph.variables import npz
from pgmgraph.variables.named import Named


class Drawn(Named[Tensor]):
    """Drawn values by the name of the variable: `drawn["pixels"]`, `drawn["vae.z"]`, `drawn["gmm.c"]`."""

    missing: ClassVar[str] = "Nothing was drawn for"

    def save(self, path: str | Path) -> Path:
        """Write them to an `.npz` file, an array for each variable under its name; `numpy.load` reads it.

        Returns:
            The path that was written.

        Raises:
            OutputError: the file cannot be written, or its name ends in something else.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise OutputError(f"Expected a file name that ends in .npz; got {path}. Rename it.", path)
        npz.write_arrays(path, self)
        return path
