"""What a stream is read from: anything that can be iterated over, and what more a source may be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from pgmgraph.config.plain import Plain
from pgmgraph.errors import DataError
from pgmgraph.matrices import SparseMatrix
from pgmgraph.observation import Observation, Values

Block: TypeAlias = Values | SparseMatrix | Mapping[str, Values | SparseMatrix | Observation] | None
"""What a source gives at a time: rows, or one row, of the only observation or by the name of each; None while it has
nothing, so that whoever waits can look up."""

Source: TypeAlias = Iterable[Block]


@runtime_checkable
class Resumable(Protocol):
    """A source that can tell how far it was read, and go on from there in another process."""

    def position(self) -> Plain:
        """How far it was read."""

    def resume(self, position: Plain) -> None:
        """Go on from a position."""


class Together:
    """A source for each observation, read side by side: one block of each at a time.

    Args:
        sources: by the name of the observation.

    Raises:
        DataError: while it is read: one source ends before another.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def __iter__(self) -> Iterator[Block]:
        iterators = {name: iter(source) for name, source in self._sources.items()}
        while True:
            block: dict[str, Values | SparseMatrix | Observation] = {}
            for name, blocks in iterators.items():
                try:
                    while (values := next(blocks)) is None:
                        yield None
                except StopIteration:
                    if block:
                        raise DataError(
                            f"Expected as many blocks from the source of {name!r} as from that of {min(block)!r}; it "
                            "ended before.",
                            name,
                        ) from None
                    return
                if isinstance(values, Mapping):
                    raise DataError(f"Expected rows from the source of {name!r}; got a mapping.", name)
                block[name] = values
            yield block

    def position(self) -> Plain:
        """The positions of the sources that have one."""
        return {name: one.position() for name, one in self._sources.items() if isinstance(one, Resumable)}

    def resume(self, position: Plain) -> None:
        """See `Resumable.resume`."""
        assert isinstance(position, dict)
        for name, source in self._sources.items():
            if isinstance(source, Resumable) and name in position:
                source.resume(position[name])
