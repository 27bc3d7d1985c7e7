"""The journal: records as lines of JSON, written as things happen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from pgmgraph.atomic import settle, unwritable, whole_file
from pgmgraph.errors import RunError

Record: TypeAlias = Mapping[str, Any]  # Any: whatever JSON can hold
Mark: TypeAlias = Mapping[str, Any]


class Journal:
    """A file that records are appended to; it remembers a hash of all that it holds.

    Args:
        path: the file; what it holds already stays.
    """

    START: ClassVar[Mark] = {"bytes": 0, "sha256": hashlib.sha256().hexdigest()}

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        self._bytes = len(content)
        self._hash = hashlib.sha256(content)

    def append(self, record: Record) -> None:
        """Write a record.

        Raises:
            OutputError: the file cannot be written.
        """
        line = (json.dumps(record) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._bytes += len(line)
        self._hash.update(line)

    def mark(self) -> dict[str, Any]:
        """Where the journal stands."""
        return {"bytes": self._bytes, "sha256": self._hash.hexdigest()}

    def settle(self) -> None:
        """Wait until all of it is on the disk."""
        if self._bytes:
            settle(self.path)

    def cut(self, mark: Mark) -> list[Record]:
        """Go back to a mark, and forget what was written after it.

        Returns:
            The records up to the mark.

        Raises:
            RunError: what the file holds up to there is not what was written.
        """
        content = self.path.read_bytes() if self.path.exists() else b""
        kept = content[: mark["bytes"]]
        if len(kept) != mark["bytes"] or hashlib.sha256(kept).hexdigest() != mark["sha256"]:
            raise RunError(
                f"Expected the first {mark['bytes']} bytes of {self.path} as they were written; got others. It was "
                "truncated or altered, and nothing was loaded. Put back a copy of it, or take an older checkpoint.",
                self.path,
            )
        if kept != content:
            with whole_file(self.path) as temporary:
                temporary.write_bytes(kept)
        self._bytes, self._hash = len(kept), hashlib.sha256(kept)
        return _records(kept)


def read_journal(path: Path) -> list[Record]:
    """The records of a journal that somebody may still be writing to: a last line without an end is left out.

    Raises:
        RunError: a line is no record.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1]
    try:
        return _records(whole)
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"Expected a record of JSON in each line of {path}; got something else ({error}). It was altered: put back "
            "a copy of it.",
            path,
        ) from error


def _records(content: bytes) -> list[Record]:
    records = [json.loads(line) for line in content.decode("utf-8").split("\n") if line]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("a line is no object")
    return records
