"""What is wrong with a configuration, all of it, each with the place that it is at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pgmgraph.errors import ConfigError, PgmgraphError

_SHOWN = 80


class Problems:
    """Collects problems, so that they can be told at once."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, path: str, text: str) -> None:
        """Note a problem at a place such as `modules.gmm.components`."""
        self._found.append(f"{path}: {text}" if path else text)

    def refuse(self) -> None:
        """Raise ConfigError with everything that was found; nothing where that is nothing."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise ConfigError(self._found[0], tuple(self._found))
        listed = "".join(f"\n- {problem}" for problem in self._found)
        raise ConfigError(f"{len(self._found)} problems in the configuration:{listed}", tuple(self._found))

    @contextmanager
    def noted(self, path: str) -> Iterator[None]:
        """Note the error of pgmgraph that the block raises, if any, in the place of raising it."""
        try:
            yield
        except PgmgraphError as error:
            self.add(path, str(error))


@contextmanager
def foreign(doing: str) -> Iterator[None]:
    """Turn whatever a user's own code raises into a ConfigError.

    What it says of its arguments, as ValueError or as an error of pgmgraph, is passed on as it stands.
    """
    try:
        yield
    # It is anybody's code: whatever it raises is a fault of the configuration that named it. Only an interrupt passes.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        text = str(error)
        if text and (isinstance(error, PgmgraphError) or type(error) is ValueError):
            raise ConfigError(text) from error
        raise ConfigError(f"{doing} ended in {type(error).__name__}: {text}") from error


def shown(value: object) -> str:
    """A value in one line of a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
