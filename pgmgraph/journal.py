"""The journal: records as lines of JSON, written as things happen.

Each line holds, under "check", a hash of all lines before it and of its own record. So whoever reads a part of it knows
that it is what was written.
"""

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

_CHECK = "check"


class Journal:
    """A file that records are appended to; it remembers a hash of all that it holds.

    Args:
        path: the file; what it holds already stays, but for half a line that was never ended.

    Raises:
        RunError: it cannot be read.
    """

    START: ClassVar[Mark] = {"bytes": 0, "sha256": hashlib.sha256().hexdigest()}

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _whole_lines(_content(path))
        self._bytes = len(content)
        self._hash = hashlib.sha256(content)

    def append(self, record: Record) -> None:
        """Write a record, under other names than "check".

        Raises:
            OutputError: the file cannot be written.
        """
        line = (json.dumps({**record, _CHECK: _check(self._hash, record)}) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                if file.tell() > self._bytes:
                    file.truncate(self._bytes)  # half a line, from when the disk was full or the machine died
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

    def upto(self, mark: Mark) -> list[Record]:
        """The records up to a mark.

        Raises:
            RunError: what the file holds up to there is not what was written.
        """
        return _records(self.path, _marked(self.path, _content(self.path), mark))

    def cut(self, mark: Mark) -> list[Record]:
        """Go back to a mark, and forget what was written after it.

        Returns:
            The records up to the mark.

        Raises:
            RunError: what the file holds up to there is not what was written.
            OutputError: the file cannot be written.
        """
        content = _content(self.path)
        kept = _marked(self.path, content, mark)
        records = _records(self.path, kept)
        if kept != content:
            with whole_file(self.path) as temporary:
                temporary.write_bytes(kept)
        self._bytes, self._hash = len(kept), hashlib.sha256(kept)
        return records


def read_journal(path: Path, mark: Mark = Journal.START) -> list[Record]:
    """The records of a journal that somebody may still be writing to: a last line without an end is left out.

    Args:
        path: the file; one that is not there has no records.
        mark: where the journal stood when somebody last looked.

    Raises:
        RunError: the file is not what was written, or holds less than at the mark.
    """
    content = _content(path)
    _marked(path, content, mark)
    return _records(path, _whole_lines(content))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise RunError(
            f"Expected to read {path}; got: {error.strerror}. Check its permissions and its disk.", path
        ) from error


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _marked(path: Path, content: bytes, mark: Mark) -> bytes:
    """The content up to a mark."""
    kept = content[: mark["bytes"]]
    if len(kept) != mark["bytes"] or hashlib.sha256(kept).hexdigest() != mark["sha256"]:
        raise RunError(
            f"Expected the first {mark['bytes']} bytes of {path} as they were written; got others. It was "
            "truncated or altered, and nothing was loaded. Put back a copy of it, or take an older checkpoint.",
            path,
        )
    return kept


def _records(path: Path, content: bytes) -> list[Record]:
    before, records = hashlib.sha256(), []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            records.append(_record(before, line))
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"Expected in line {number} of {path} the record that was written there; got something else ({error}). "
                "It was altered: put back a copy of it.",
                path,
            ) from error
        before.update(line + b"\n")
    return records


def _record(before: hashlib._Hash, line: bytes) -> Record:
    record = json.loads(line.decode("utf-8"))
    if not isinstance(record, dict) or record.pop(_CHECK, None) != _check(before, record):
        raise ValueError("its check is another")
    return record


def _check(before: hashlib._Hash, record: Record) -> str:
    digest = before.copy()
    digest.update(json.dumps(record).encode())
    return digest.hexdigest()[:16]
