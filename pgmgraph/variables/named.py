"""A mapping by the names of variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Generic, TypeVar

from torch import Tensor

from pgmgraph.errors import UnknownNameError, suggestion
from pgmgraph.messages import Message

T = TypeVar("T", bound=Message | Tensor)


class Named(Mapping[str, T], Generic[T]):
    """A mapping that names what it has where it is asked for what it has not."""

    missing: ClassVar[str] = ""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> T:
        if name not in self._values:
            raise UnknownNameError(
                f"{self.missing} {name!r}.{suggestion(name, self._values)} "
                f"There are: {', '.join(self._values) or 'none'}.",
                name,
            )
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}: {type(value).__name__} of {len(value)}" for name, value in self._values.items())
        return f"{type(self).__name__}({listed})"
